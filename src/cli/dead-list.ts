import type { DeadCauseJson, DeadListJson } from '../http/schemas/dead.ts'
import type { DeliveryJson } from '../http/schemas/events.ts'
import { command, UsageError } from './command.ts'
import { listFlags, runList } from './lists.ts'
import { type Columns, count, main, spare, text, time, whole } from './table.ts'
import { timesOf } from './times.ts'

/** Columns of single dead letters. */
export const letterColumns: Columns<DeliveryJson> = [
  time('DIED', ({ due_at }) => due_at),
  whole('EVENT', ({ event_uid }) => event_uid),
  spare(text('SOURCE', ({ source }) => source)),
  spare(text('TYPE', ({ type }) => type)),
  text('HANDLER', ({ handler }) => handler),
  spare(count('ATTEMPTS', ({ attempts }) => attempts)),
  main(text('LAST ERROR', ({ last_error }) => last_error)),
]

const causeColumns: Columns<DeadCauseJson> = [
  count('DEAD', (cause) => `${cause.count}${cause.count_more === true ? '+' : ''}`),
  whole('LAST 24 H', ({ hourly }) => trend(hourly)),
  whole('CAUSE', ({ cause }) => cause),
  text('HANDLER', ({ handler }) => handler),
  main(text('ERROR', ({ error }) => error)),
  spare(text('AT', ({ at }) => at)),
  time('LAST', ({ last_at }) => last_at),
  spare(time('FIRST', ({ first_at }) => first_at)),
  spare(text('SOURCE', ({ source }) => source)),
]

export const deadList = command({
  name: 'dead list',
  summary:
    'Lists dead letters by cause, most of them first: deliveries that are not tried again by themselves. With --each one by one, the last to die first.',
  operands: [],
  flags: {
    each: { help: 'each dead letter for itself' },
    source: { value: '<name>', help: 'of this source' },
    handler: { value: '<name>', help: 'of this handler' },
    cause: { value: '<id>', help: 'of this cause' },
    since: { value: '<time>', help: 'died at or after: RFC 3339, or a while ago as 15m, 2h, 7d; not with --each' },
    until: { value: '<time>', help: 'died before; not with --each' },
    ...listFlags,
  },
  run: async ({ flags: { each, limit, cursor, utc, json, since, until, ...same } }, io) => {
    const shown = { limit, cursor, utc, json }
    if (!each) {
      const filter = { ...same, ...timesOf({ since, until }) }
      return runList<DeadCauseJson, DeadListJson>(io, {
        path: '/v1/dead',
        filter,
        columns: causeColumns,
        ...shown,
        note: ({ unnamed }) => (unnamed > 0 ? `and ${unnamed} more, whose causes are being found out\n` : undefined),
      })
    }
    if (since !== undefined || until !== undefined) throw new UsageError('--since and --until go without --each')
    return runList(io, { path: '/v1/deliveries', filter: { ...same, state: 'dead' }, columns: letterColumns, ...shown })
  },
})

const LEVELS = '▁▂▃▄▅▆▇█'
/** Hours that one sign of the trend stands for. */
const HOURS_OF_SIGN = 3

/** The numbers as a small chart, the present on the right; a dot is none. */
function trend(hourly: readonly number[]): string {
  const sums: number[] = []
  for (let at = 0; at < hourly.length; at += HOURS_OF_SIGN)
    sums.push(hourly.slice(at, at + HOURS_OF_SIGN).reduce((sum, each) => sum + each, 0))
  const most = Math.max(...sums, 1)
  return sums.map((sum) => (sum === 0 ? '·' : LEVELS[Math.ceil((sum / most) * LEVELS.length) - 1])).join('')
}
