import { Type } from '@sinclair/typebox'
import type { EventOutcome } from '../../domain/outcome.ts'
import { parseMatch } from '../../domain/payload-match.ts'
import type { ReplayFilter } from '../../domain/replay-jobs.ts'
import type { ReplayOrder, ReplayService } from '../../domain/replay-service.ts'
import { eventJson } from '../schemas/events.ts'
import {
  DryRunSchema,
  matchedJson,
  ReplayCreatedSchema,
  ReplayDetailSchema,
  type ReplayFilterJson,
  ReplayJobSchema,
  type ReplayOrderJson,
  ReplayOrderSchema,
  replayDetailJson,
  replayJobJson,
} from '../schemas/replays.ts'
import { PageOf, pageJson } from '../schemas/schema.ts'
import { askedBy, inWords, noteChange, noteNoChange } from './audit.ts'
import { clientOf, filterOf, type OpsApp, pageQuery, pageRequest } from './ops-app.ts'

const Query = Type.Object(pageQuery, { additionalProperties: false })
const Params = Type.Object({ id: Type.String() })
const tags = ['replays']

/** Replays of many events. */
export function registerReplayJobs(app: OpsApp, replays: ReplayService): void {
  app.post(
    '/v1/replays',
    {
      config: { audit: 'replay.create' },
      schema: {
        summary: 'Replay all events that match a filter: 202; with dry_run only count them: 200',
        tags,
        body: ReplayOrderSchema,
        response: { 200: DryRunSchema, 202: ReplayCreatedSchema },
      },
    },
    async (request, reply) => {
      const { body } = request
      const order = orderOf(body, `${askedBy(request)} from ${clientOf(request).peer}`)
      if (body.dry_run === true) {
        noteNoChange(request)
        const { sample, ...matched } = await replays.dryRun(order)
        return reply.send({ ...matchedJson(matched), sample: sample.map(eventJson) })
      }
      const wanted = orderInWords(body)
      noteChange(request, { target: wanted })
      const { id, ...matched } = await replays.create(order)
      noteChange(request, { target: `${id} ${wanted}`, count: matched.matched })
      return reply.code(202).send({ id, ...matchedJson(matched) })
    },
  )

  app.get(
    '/v1/replays',
    {
      schema: {
        summary: 'Replays of many events, newest first',
        tags,
        querystring: Query,
        response: { 200: PageOf(ReplayJobSchema) },
      },
    },
    async ({ query }, reply) => reply.send(pageJson(await replays.list(pageRequest(query)), replayJobJson)),
  )

  app.get(
    '/v1/replays/:id',
    {
      schema: {
        summary: 'A replay of many events: its progress, and what became of its deliveries',
        tags,
        params: Params,
        response: { 200: ReplayDetailSchema },
      },
    },
    async ({ params: { id } }, reply) => reply.send(replayDetailJson(await replays.show(id), Date.now())),
  )

  app.delete(
    '/v1/replays/:id',
    {
      config: { audit: 'replay.cancel' },
      schema: {
        summary: 'Cancel a replay: nothing more is made due, and what is due already runs',
        tags,
        params: Params,
        response: { 200: ReplayJobSchema },
      },
    },
    async ({ params: { id } }, reply) => reply.send(replayJobJson(await replays.cancel(id))),
  )
}

function orderOf(
  { filter, all = false, handler, per_second, probe = false }: ReplayOrderJson,
  by: string,
): ReplayOrder {
  return {
    filter: replayFilter(filter),
    all,
    probe,
    by,
    ...(handler !== undefined && { handler }),
    ...(per_second !== undefined && { perSecond: per_second }),
  }
}

/** What runs and how comes first: the audit cuts a long text. */
export const orderInWords = ({
  filter,
  handler: run,
  per_second,
  probe,
}: Pick<ReplayOrderJson, 'handler' | 'per_second' | 'probe'> & { readonly filter: object }): string =>
  `${inWords({ probe: probe === true ? true : undefined, per_second, run })} ${inWords(filter) || 'all'}`.trim()

/** The deliveries that an outcome means: the others of the same events do not run again. */
const DELIVERIES_OF: Partial<Record<EventOutcome, ReplayFilter['delivery']>> = {
  dead: 'dead',
  discarded: 'discarded',
  failing: 'waiting',
  pending: 'waiting',
}

const replayFilter = ({ match, ...same }: ReplayFilterJson): ReplayFilter =>
  aimed({
    ...filterOf(same),
    ...(match !== undefined && match.length > 0 && { match: match.map(parseMatch) }),
  })

/** The filter with the deliveries that its outcome or cause means. */
export function aimed({ outcome, ...same }: ReplayFilter): ReplayFilter {
  const named = outcome && DELIVERIES_OF[outcome]
  const delivery = named ?? (same.cause === undefined ? undefined : 'dead')
  return {
    ...same,
    // Each event with a dead delivery has that outcome.
    ...(outcome !== undefined && outcome !== 'dead' && { outcome }),
    ...(delivery !== undefined && { delivery }),
  }
}
