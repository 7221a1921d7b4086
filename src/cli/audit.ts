import { AUDIT_ACTORS } from '../domain/audit.ts'
import type { AuditEntryJson } from '../http/schemas/audit.ts'
import { command } from './command.ts'
import { listFlags, runList } from './lists.ts'
import { type Columns, count, main, spare, state, text, time } from './table.ts'
import { timesOf } from './times.ts'

export const audit = command({
  name: 'audit',
  summary: 'Lists changes that persons and programs made, newest first: who, when, from where, what, how many.',
  operands: [],
  flags: {
    actor: { value: '<name>', help: `by this user, or ${AUDIT_ACTORS.join(', ')}` },
    action: { value: '<action>', help: 'noun and verb, as event.replay; * stands for anything' },
    since: { value: '<time>', help: 'at or after: RFC 3339, or a while ago as 15m, 2h, 7d' },
    until: { value: '<time>', help: 'before' },
    ...listFlags,
  },
  run: async ({ flags: { limit, cursor, utc, json, since, until, ...same } }, io) => {
    const filter = { ...same, ...timesOf({ since, until }) }
    return runList(io, { path: '/v1/audit', filter, columns, limit, cursor, utc, json })
  },
})

const columns: Columns<AuditEntryJson> = [
  time('AT', ({ at }) => at),
  text('BY', ({ claimed_name, actor }) => claimed_name ?? actor),
  spare(text('FROM', ({ peer }) => peer ?? undefined)),
  text('ACTION', ({ action }) => action),
  state('OUTCOME', ({ outcome }) => outcome),
  count('COUNT', ({ count: changed }) => changed ?? undefined),
  main(text('WHAT', ({ target, reason }) => [target, reason].filter((each) => each !== null).join(': '))),
]
