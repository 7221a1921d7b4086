import type { DriftJson } from '../http/schemas/drift.ts'
import { command } from './command.ts'
import { listFlags, runList } from './lists.ts'
import { type Columns, main, spare, text, time, whole } from './table.ts'
import { timesOf } from './times.ts'

export const drift = command({
  name: 'drift',
  summary:
    'Lists changes in the shapes of payloads: fields that are new, have vanished, or hold another kind of value.',
  operands: [],
  flags: {
    source: { value: '<name>', help: 'of this source' },
    type: { value: '<type>', help: 'of this type; * stands for anything' },
    since: { value: '<time>', help: 'seen at or after: RFC 3339, or a while ago as 15m, 2h, 7d' },
    until: { value: '<time>', help: 'seen before' },
    ...listFlags,
  },
  run: async ({ flags: { limit, cursor, utc, json, since, until, ...same } }, io) => {
    const filter = { ...same, ...timesOf({ since, until }) }
    return runList(io, { path: '/v1/drift', filter, columns, limit, cursor, utc, json })
  },
})

const columns: Columns<DriftJson> = [
  time('SEEN', ({ at }) => at),
  text('SOURCE', ({ source }) => source),
  text('TYPE', ({ type }) => type),
  main(text('FIELD', ({ path }) => path)),
  text('CHANGE', ({ what, from, to }) =>
    [what, [from, to].filter((kinds) => kinds !== undefined).join(' → ')].join(' '),
  ),
  spare(whole('EVENT', ({ event_uid }) => event_uid)),
]
