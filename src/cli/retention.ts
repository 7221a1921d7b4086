import type { RetentionReportJson, RetentionStateJson } from '../http/schemas/retention.ts'
import { type CliIo, CommandError, command, EXIT_OK } from './command.ts'
import { withOps } from './ops-client.ts'
import { confirm, fields, shownFlags, write, writeAnswer } from './output.ts'
import { type Columns, count, table, whole } from './table.ts'
import { timeIn, type View, viewOf } from './view.ts'

const PATH = '/v1/retention'
/** How many of the oldest days are shown; `--json` shows all. */
const MAX_DAYS_SHOWN = 40

export const retentionShow = command({
  name: 'retention show',
  summary: 'Tells whether old events are forgotten or held, since when and why, and how many are old, day by day.',
  operands: [],
  flags: shownFlags,
  run: async ({ flags }, io) =>
    withOps(io, async (ops) => {
      await writeAnswer(io, await ops.get<RetentionReportJson>(PATH), flags, describe)
      return EXIT_OK
    }),
})

export const retentionResume = command({
  name: 'retention resume',
  summary:
    'Forgets old events though the clock seems to have jumped: tells which, and asks whether the clock is right.',
  operands: [],
  flags: { yes: { help: 'do not ask' }, ...shownFlags },
  run: async ({ flags: { yes, utc, json } }, io) =>
    withOps(io, async (ops) => {
      const report = await ops.get<RetentionReportJson>(PATH)
      if (!report.held) throw new CommandError('nothing is held: the clock is trusted, and old events are forgotten')
      const view = viewOf(io.err, { utc })
      if (!json || !yes) await write(io.err, describe(report, view))
      if (!yes) await askWhether(io, report, view)
      const state = await ops.post<RetentionStateJson>(`${PATH}/resume`, { clock: report.clock })
      await writeAnswer(io, state, { json }, () => 'old events are forgotten again\n')
      return EXIT_OK
    }),
})

function askWhether(io: CliIo, { clock, old }: RetentionReportJson, view: View): Promise<void> {
  const { events, dead } = sumOf(old)
  const what = `${counted(events, old, 'event')} and ${counted(dead, old, 'dead letter')}`
  const text = `Is it ${timeIn(view, clock)}? Then ${what} are deleted for good.`
  return confirm(io, { text, otherwise: 'nothing was forgotten', yes: 'if the clock is right' })
}

function describe(report: RetentionReportJson, view: View): string {
  const { held, clock, last_known, steady_hours, retention_days, retention_dead_days, old } = report
  const { events, dead } = sumOf(old)
  const shown = old.days.slice(0, MAX_DAYS_SHOWN)
  const rest = old.days.length - shown.length
  return [
    fields(view, [
      ['old events are', fateOf(report)],
      ['clock', timeIn(view, clock)],
      ['last trusted', held ? timeIn(view, last_known) : undefined],
      ['steady for', steady_hours === null ? undefined : `${steady_hours} h; trusted after 24`],
      ['kept for', daysOf(retention_days)],
      ['dead letters kept for', daysOf(retention_dead_days)],
      ['old events', atLeast(events, old)],
      ['dead letters of them', atLeast(dead, old)],
    ]),
    shown.length > 0 && `\n${table(view, dayColumns, shown)}`,
    rest > 0 && `… and ${rest} more days\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

function fateOf({ held, retention_days }: RetentionReportJson): string {
  if (held) return 'held, since the clock seems to have jumped'
  return retention_days === 0 ? 'kept' : 'forgotten'
}

type Old = RetentionReportJson['old']

const dayColumns: Columns<Old['days'][number]> = [
  whole('RECEIVED (UTC)', ({ day }) => day),
  count('EVENTS', ({ events }) => events),
  count('DEAD LETTERS', ({ dead }) => dead),
]

const sumOf = ({ days }: Old) =>
  days.reduce((sum, { events, dead }) => ({ events: sum.events + events, dead: sum.dead + dead }), {
    events: 0,
    dead: 0,
  })

const atLeast = (count: number, { more }: Old): string => `${count}${more ? ' or more' : ''}`

const counted = (count: number, old: Old, what: string): string =>
  `${atLeast(count, old)} ${what}${count === 1 && !old.more ? '' : 's'}`

const daysOf = (days: number): string => (days === 0 ? 'ever' : `${days} days`)
