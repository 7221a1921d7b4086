import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { HoldfastError } from '../../domain/errors.ts'
import { MAX_PAUSE_REASON, type Pause, type PausedKind, type PauseService } from '../../domain/pause.ts'
import { DrainSchema, PauseStateSchema, pausedJson } from '../schemas/pauses.ts'
import { askedBy, noteChange } from './audit.ts'
import type { OpsApp } from './ops-app.ts'

const closed = { additionalProperties: false }
const Params = Type.Object({ name: Type.String() })
const PauseBody = Type.Object(
  {
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: MAX_PAUSE_REASON, description: 'Shown in the lists' }),
    ),
  },
  closed,
)
const EmptyBody = Type.Object({}, closed)
const DrainBody = Type.Object({ on: Type.Optional(Type.Boolean({ description: 'false: claim again' })) }, closed)

interface PauseAnswers {
  readonly pauses: PauseService
  /** The names that are known now. */
  readonly names: Readonly<Record<PausedKind, () => readonly string[]>>
}

export function registerPauses(app: OpsApp, { pauses, names }: PauseAnswers): void {
  registerPausesOf(app, 'handler', '/v1/handlers/:name', pauses, names.handler)
  registerPausesOf(app, 'source', '/v1/sources/:name', pauses, names.source)
  app.post(
    '/v1/drain',
    {
      config: { audit: 'process.drain' },
      schema: {
        summary:
          'This process claims no more deliveries, tasks and replays: what runs finishes, and other replicas go on; on=false ends that',
        tags: ['configuration'],
        body: DrainBody,
        response: { 200: DrainSchema },
      },
    },
    async (request, reply) => {
      const { on = true } = request.body
      pauses.drain(on)
      noteChange(request, { target: on ? 'on' : 'off' })
      return reply.send({ draining: pauses.isDraining })
    },
  )
}

function registerPausesOf(
  app: OpsApp,
  kind: PausedKind,
  path: string,
  pauses: PauseService,
  names: () => readonly string[],
): void {
  const schema = { tags: ['configuration'], params: Params, response: { 200: PauseStateSchema } }
  const what = kind === 'handler' ? 'a handler' : 'a source'
  app.post(
    `${path}/pause`,
    {
      config: { audit: `${kind}.pause` },
      schema: {
        ...schema,
        summary: `Pause the deliveries of ${what}, for all replicas: they wait, and events are still acknowledged`,
        body: PauseBody,
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const { reason } = request.body
      const pause = await pauseOne(request, { pauses, kind, names }, name, reason)
      return reply.send({ name, paused: pausedJson(pause) })
    },
  )
  app.post(
    `${path}/resume`,
    {
      config: { audit: `${kind}.resume` },
      schema: { ...schema, summary: `End the pause of ${what}: its deliveries run again`, body: EmptyBody },
    },
    async (request, reply) => {
      const { name } = request.params
      await resumeOne(request, { pauses, kind, names }, name)
      return reply.send({ name, paused: null })
    },
  )
}

interface Pausable {
  readonly pauses: PauseService
  readonly kind: PausedKind
  readonly names: () => readonly string[]
}

/** Begins a pause, and tells the audit why. Throws if there is nothing of this name. */
export async function pauseOne(
  request: FastifyRequest,
  { pauses, kind, names }: Pausable,
  name: string,
  reason: string | undefined,
): Promise<Pause> {
  if (!names().includes(name)) throw unknown(kind, name)
  const pause = await pauses.pause({ kind, name, by: askedBy(request), ...(reason !== undefined && { reason }) })
  if (reason !== undefined) noteChange(request, { reason })
  return pause
}

/** Ends a pause, if there is one. Throws if there is nothing of this name. */
export async function resumeOne(
  request: FastifyRequest,
  { pauses, kind, names }: Pausable,
  name: string,
): Promise<void> {
  const resumed = await pauses.resume(kind, name)
  // What is configured no longer may still be paused.
  if (resumed === undefined && !names().includes(name)) throw unknown(kind, name)
  noteChange(request, { count: resumed === undefined ? 0 : 1 })
}

const unknown = (kind: PausedKind, name: string): HoldfastError =>
  new HoldfastError(kind === 'handler' ? 'handler_not_found' : 'unknown_source', `there is no ${kind} ${name}`)
