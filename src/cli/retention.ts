import type { RetentionReport, RetentionState } from '../domain/retention.ts'
import { type CliIo, type Command, CommandError, EXIT_OK, EXIT_USAGE, parse, write, writeJson } from './command.ts'
import { confirm } from './confirm.ts'
import { withOps } from './ops-client.ts'
import { fields, shortTime, table } from './table.ts'

const PATH = '/v1/retention'
/** Days that are shown, the oldest ones; `--json` gives all. */
const MAX_DAYS_SHOWN = 40

const flag = { type: 'boolean' } as const
const jsonOption = ['--json', 'as JSON'] as const

export const retentionShow: Command = {
  name: 'retention show',
  operands: '[options]',
  summary: 'Tells whether old events are forgotten or held, since when and why, and how many are old, day by day.',
  options: [jsonOption],
  run: async (args, io) => {
    const { json } = parse(args, { json: flag }, []).values
    return withOps(io, async (ops) => {
      const report = await ops.get<RetentionReport>(PATH)
      await (json === true ? writeJson(io.out, report) : write(io.out, describe(report)))
      return EXIT_OK
    })
  },
}

export const retentionResume: Command = {
  name: 'retention resume',
  operands: '[options]',
  summary:
    'Forgets old events though the clock seems to have jumped: tells which, and asks whether the clock is right.',
  options: [['--yes', 'do not ask'], jsonOption],
  run: async (args, io) => {
    const { yes = false, json = false } = parse(args, { yes: flag, json: flag }, []).values
    return withOps(io, async (ops) => {
      const report = await ops.get<RetentionReport>(PATH)
      if (!report.held) throw new CommandError('nothing is held: the clock is trusted, and old events are forgotten')
      if (!json || !yes) await write(io.err, describe(report))
      if (!yes) await askWhether(io, report)
      const state = await ops.post<RetentionState>(`${PATH}/resume`, { clock: report.clock })
      await (json ? writeJson(io.out, state) : write(io.out, 'old events are forgotten again\n'))
      return EXIT_OK
    })
  },
}

async function askWhether(io: CliIo, { clock, old }: RetentionReport): Promise<void> {
  if (!io.interactive)
    throw new CommandError(
      'nothing was forgotten: there is no terminal to ask on, so say --yes if the clock is right',
      EXIT_USAGE,
    )
  const { events, dead } = sumOf(old)
  const what = `${counted(events, old, 'event')} and ${counted(dead, old, 'dead letter')}`
  if (await confirm(io, `Is it ${shortTime(clock)} UTC? Then ${what} are deleted for good.`)) return
  throw new CommandError('nothing was forgotten')
}

function describe(report: RetentionReport): string {
  const { held, clock, last_known, steady_hours, retention_days, retention_dead_days, old } = report
  const { events, dead } = sumOf(old)
  const shown = old.days.slice(0, MAX_DAYS_SHOWN)
  const rest = old.days.length - shown.length
  return [
    fields([
      ['old events are', fateOf(report)],
      ['clock (UTC)', shortTime(clock)],
      ['last trusted (UTC)', held ? shortTime(last_known) : undefined],
      ['steady for', steady_hours === null ? undefined : `${steady_hours} h; trusted after 24`],
      ['kept for', daysOf(retention_days)],
      ['dead letters kept for', daysOf(retention_dead_days)],
      ['old events', atLeast(events, old)],
      ['dead letters of them', atLeast(dead, old)],
    ]),
    shown.length > 0 && `\n${table(['RECEIVED (UTC)', 'EVENTS', 'DEAD LETTERS'], shown.map(row))}`,
    rest > 0 && `… and ${rest} more days\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

function fateOf({ held, retention_days }: RetentionReport): string {
  if (held) return 'held, since the clock seems to have jumped'
  return retention_days === 0 ? 'kept' : 'forgotten'
}

type Old = RetentionReport['old']

const row = ({ day, events, dead }: Old['days'][number]): readonly string[] => [day, String(events), String(dead)]

const sumOf = ({ days }: Old) =>
  days.reduce((sum, { events, dead }) => ({ events: sum.events + events, dead: sum.dead + dead }), {
    events: 0,
    dead: 0,
  })

const atLeast = (count: number, { more }: Old): string => `${count}${more ? ' or more' : ''}`

const counted = (count: number, old: Old, what: string): string =>
  `${atLeast(count, old)} ${what}${count === 1 && !old.more ? '' : 's'}`

const daysOf = (days: number): string => (days === 0 ? 'ever' : `${days} days`)
