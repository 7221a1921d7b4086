import type { HandlerJson, SourceJson } from '../http/schemas/configuration.ts'
import type { DrainJson, PauseStateJson } from '../http/schemas/pauses.ts'
import { type CliIo, CommandError, command, EXIT_NOT_FOUND, EXIT_OK, jsonFlag } from './command.ts'
import { unknownNames } from './lists.ts'
import { ProblemError, withOps } from './ops-client.ts'
import { shownFlags, writeAnswer } from './output.ts'
import { type Columns, spare, state, table, text, time } from './table.ts'
import type { View } from './view.ts'

const reasonFlag = { value: '<text>', help: 'why; shown in the lists' } as const

const handlerColumns: Columns<HandlerJson> = [
  text('NAME', ({ name }) => name),
  state('STATE', ({ paused, running }) => (running ? (paused === null ? 'active' : 'paused') : 'missing')),
  spare(text('SOURCE', ({ source }) => source)),
  text('TYPES', ({ types }) => types.join(', ')),
  time('SINCE', ({ paused }) => paused?.since),
  text('BY', ({ paused }) => paused?.by),
  text('REASON', ({ paused }) => paused?.reason),
]

const sourceColumns: Columns<SourceJson> = [
  text('NAME', ({ name }) => name),
  state('STATE', stateOf),
  spare(text('PROVIDER', ({ provider }) => provider)),
  text('TYPES', ({ types }) => types.join(', ')),
  time('LAST EVENT', ({ last_event_at }) => last_event_at),
  time('SINCE', ({ refusing_since, silent_since, paused }) => refusing_since ?? silent_since ?? paused?.since),
  text('BY', ({ paused }) => paused?.by),
  text('REASON', ({ refusing_since, refusing_reason, paused }) =>
    refusing_since === null ? paused?.reason : refusing_reason,
  ),
]

/** What needs a hand first. */
function stateOf({ paused, refusing_since, silent_since }: SourceJson): string {
  if (refusing_since !== null) return 'refused'
  if (silent_since !== null) return 'silent'
  return paused === null ? 'active' : 'paused'
}

async function list<Item>(io: CliIo, path: string, columns: Columns<Item>, flags: { json: boolean; utc: boolean }) {
  const answer = await withOps(io, (ops) => ops.get<{ items: Item[] }>(path))
  await writeAnswer(io, answer, flags, ({ items }, view) => table(view, columns, items))
  return EXIT_OK
}

interface Change {
  readonly kind: 'handler' | 'source'
  readonly name: string
  readonly verb: 'pause' | 'resume'
  readonly body?: object
}

async function change(io: CliIo, { kind, name, verb, body = {} }: Change, done: string, json: boolean) {
  const path = `/v1/${kind}s/${encodeURIComponent(name)}/${verb}`
  const answer = await withOps(io, (ops) =>
    ops.post<PauseStateJson>(path, body).catch(async (error: unknown) => {
      const [fault] =
        error instanceof ProblemError && error.exitCode === EXIT_NOT_FOUND
          ? await unknownNames(ops, { [kind]: name })
          : []
      throw fault === undefined ? error : new CommandError(fault, EXIT_NOT_FOUND)
    }),
  )
  await writeAnswer(io, answer, { json }, ({ name: changed }) => `${changed} ${done}\n`)
  return EXIT_OK
}

const PAUSED = 'is paused, for all replicas: its deliveries wait'

export const handlersList = command({
  name: 'handlers list',
  summary: 'Lists the handlers, and who paused which.',
  operands: [],
  flags: shownFlags,
  run: async ({ flags }, io) => list(io, '/v1/handlers', handlerColumns, flags),
})

export const handlersPause = command({
  name: 'handlers pause',
  summary: 'Pauses a handler: its deliveries wait, and events are still acknowledged.',
  operands: ['name'],
  flags: { reason: reasonFlag, json: jsonFlag },
  run: async ({ flags: { reason, json }, operands: [name] }, io) =>
    change(io, { kind: 'handler', name, verb: 'pause', body: { reason } }, PAUSED, json),
})

export const handlersResume = command({
  name: 'handlers resume',
  summary: 'Has a paused handler run again.',
  operands: ['name'],
  flags: { json: jsonFlag },
  run: async ({ flags: { json }, operands: [name] }, io) =>
    change(io, { kind: 'handler', name, verb: 'resume' }, 'runs', json),
})

export const sources = command({
  name: 'sources',
  summary: 'Lists the sources and their state: active, silent, refused or paused.',
  operands: [],
  flags: shownFlags,
  run: async ({ flags }, io) => list(io, '/v1/sources', sourceColumns, flags),
})

export const sourcesPause = command({
  name: 'sources pause',
  summary: 'Pauses the deliveries of a source: they wait, and its events are still acknowledged.',
  operands: ['name'],
  flags: { reason: reasonFlag, json: jsonFlag },
  run: async ({ flags: { reason, json }, operands: [name] }, io) =>
    change(io, { kind: 'source', name, verb: 'pause', body: { reason } }, PAUSED, json),
})

export const sourcesResume = command({
  name: 'sources resume',
  summary: 'Has the deliveries of a paused source run again.',
  operands: ['name'],
  flags: { json: jsonFlag },
  run: async ({ flags: { json }, operands: [name] }, io) =>
    change(io, { kind: 'source', name, verb: 'resume' }, 'is resumed', json),
})

export const drain = command({
  name: 'drain',
  summary: 'Has the running process claim no more deliveries, tasks and replays; other replicas go on.',
  operands: [],
  flags: { off: { help: 'claim again' }, json: jsonFlag },
  run: async ({ flags: { off, json } }, io) => {
    const answer = await withOps(io, (ops) => ops.post<DrainJson>('/v1/drain', { on: !off }))
    await writeAnswer(io, answer, { json }, describeDrain)
    return EXIT_OK
  },
})

const describeDrain = ({ draining }: DrainJson, _view: View): string =>
  draining ? 'this process claims no more work: what runs finishes\n' : 'this process claims work\n'
