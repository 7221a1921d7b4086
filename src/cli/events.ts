import { EVENT_STATUSES, ORIGINS } from '../domain/event.ts'
import { DEFAULT_PAGE_SIZE } from '../domain/limits.ts'
import type { EventDetailJson, EventJson } from '../http/ops/events.ts'
import {
  type Command,
  EXIT_FAILED,
  EXIT_OK,
  parse,
  parseCount,
  parseWord,
  UsageError,
  write,
  writeJson,
} from './command.ts'
import { durationMs } from './duration.ts'
import { withOps } from './ops-client.ts'
import { first, writePage } from './pages.ts'
import { replayEvent, replayedLine } from './replay.ts'
import { fields, shortDuration, shortTime, table } from './table.ts'
import { thrown } from './thrown.ts'
import { hintAtUnknown } from './unknown-names.ts'

/** Events that one `list` shows. */
const MAX_LISTED = 10_000

export const eventsList: Command = {
  name: 'events list',
  operands: '[options]',
  summary: 'Lists events, newest first.',
  options: [
    ['--source <name>', 'of this source'],
    ['--type <type>', 'of this type; * stands for anything'],
    ['--status <status>', EVENT_STATUSES.join(', ')],
    ['--origin <origin>', ORIGINS.join(', ')],
    ['--task <id>', 'about this task of the provider'],
    ['--since <time>', 'received at or after: RFC 3339, or a while ago as 15m, 2h, 7d'],
    ['--until <time>', 'received before'],
    ['--q <text>', 'with this in their id, uid, type or task'],
    ['--limit <n>', `how many; ${DEFAULT_PAGE_SIZE} unless given`],
    ['--cursor <cursor>', 'go on where an earlier list ended'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const text = { type: 'string' } as const
    const options = {
      source: text,
      type: text,
      status: text,
      origin: text,
      task: text,
      since: text,
      until: text,
      q: text,
    }
    const { values } = parse(args, { ...options, limit: text, cursor: text, json: { type: 'boolean' } }, [])
    const { json, limit = String(DEFAULT_PAGE_SIZE), since, until, ...filter } = values
    const count = parseCount('limit', limit, MAX_LISTED)
    parseWord('status', filter.status, EVENT_STATUSES)
    parseWord('origin', filter.origin, ORIGINS)
    const query = { ...filter, since: timeOf('since', since), until: timeOf('until', until) }
    return withOps(io, async (ops) => {
      const page = await first<EventJson>(ops, '/v1/events', query, count)
      await writePage(io, page, json, ['RECEIVED (UTC)', 'UID', 'SOURCE', 'TYPE', 'STATUS'], row)
      await hintAtUnknown(io, ops, page, { source: filter.source })
      return EXIT_OK
    })
  },
}

const row = ({ received_at, uid, source, type, status }: EventJson): readonly string[] => [
  shortTime(received_at),
  uid,
  source,
  type,
  status,
]

/** RFC 3339 from RFC 3339, or from how long ago it was. */
function timeOf(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const agoMs = durationMs(text)
  const ms = agoMs === undefined ? parseTime(text) : Date.now() - agoMs
  if (Number.isNaN(ms))
    throw new UsageError(`--${option} is neither a time (RFC 3339) nor a while such as 15m, 2h or 7d`)
  return new Date(ms).toISOString()
}

/** RFC 3339, of which the time may be left out (midnight, UTC), or the offset (the time of this machine). */
const TIME = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d{2}:\d{2})?)?$/

/** NaN where it is none; `Date.parse` alone takes `1` for the year 2001, and 30 February for 2 March. */
function parseTime(text: string): number {
  const day = text.slice(0, 10)
  const isDay = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day)
  return TIME.test(text) && isDay ? Date.parse(text) : Number.NaN
}

export const eventsShow: Command = {
  name: 'events show',
  operands: '<uid> [options]',
  summary: 'Shows one event with its deliveries and their attempts.',
  options: [
    ['--body', 'write the exact bytes that came, and nothing else'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const { values, operands } = parse(args, { body: { type: 'boolean' }, json: { type: 'boolean' } }, ['uid'])
    if (values.body === true && values.json === true) throw new UsageError('--body and --json exclude each other')
    const path = `/v1/events/${encodeURIComponent(operands[0])}`
    return withOps(io, async (ops) => {
      if (values.body === true) await write(io.out, await ops.bytes(`${path}/body`))
      else {
        const event: EventDetailJson = await ops.get(path)
        await (values.json === true ? writeJson(io.out, event) : write(io.out, describe(event)))
      }
      return EXIT_OK
    })
  },
}

function describe(event: EventDetailJson): string {
  const head = fields([
    ['uid', event.uid],
    ['source', event.provider === event.source ? event.source : `${event.source} (provider ${event.provider})`],
    ['id', event.id],
    ['type', event.type],
    ['status', event.status],
    ['reasons', event.reasons.join('; ')],
    ['origin', event.origin],
    ['task', event.task],
    ['created', createdOf(event)],
    ['received', shortTime(event.received_at)],
    ['body', `${event.size_bytes} bytes, sha256 ${event.checksum}`],
  ])
  const deliveries = event.deliveries.map(({ handler, state, attempts, due_at, last_error }) => [
    handler,
    state,
    String(attempts),
    shortTime(due_at),
    last_error ?? '',
  ])
  const attempts = event.deliveries.flatMap(({ handler, history }) =>
    history.map(({ number, outcome, started_at, duration_ms, error }) => [
      shortTime(started_at),
      handler,
      String(number),
      outcome,
      shortDuration(duration_ms),
      error ?? '',
    ]),
  )
  return [
    head,
    deliveries.length > 0 && table(['HANDLER', 'STATE', 'ATTEMPTS', 'DUE OR ENDED (UTC)', 'LAST ERROR'], deliveries),
    attempts.length > 0 && table(['STARTED (UTC)', 'HANDLER', 'ATTEMPT', 'OUTCOME', 'TOOK', 'ERROR'], attempts),
    ...event.deliveries.map(lastThrown),
  ]
    .filter((part) => part !== false)
    .join('\n')
}

/** The time of receipt is no word of the provider's. */
const createdOf = ({ created_at, created_at_source }: EventDetailJson): string =>
  `${shortTime(created_at)}${created_at_source === 'received' ? ' (of receipt: the provider gave no time that can be read)' : ''}`

/** What a delivery's last failed attempt threw; the ones before mostly threw the same. */
function lastThrown({ handler, history }: EventDetailJson['deliveries'][number]): string | false {
  const attempt = history.findLast(({ error_detail }) => error_detail !== undefined)
  if (attempt?.error_detail === undefined) return false
  const what = attempt.outcome === 'process_lost' ? 'was lost with its process' : 'threw'
  return `attempt ${attempt.number} of ${handler} ${what}\n${thrown(attempt.error_detail, '  ')}`
}

export const eventsReplay: Command = {
  name: 'events replay',
  operands: '<uid> [options]',
  summary: "Runs an event again, by today's handlers and schemas.",
  options: [
    ['--handler <name>', 'this handler only'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const { values, operands } = parse(args, { handler: { type: 'string' }, json: { type: 'boolean' } }, ['uid'])
    return withOps(io, async (ops) => {
      const replayed = await replayEvent(ops, operands[0], values.handler)
      await (values.json === true ? writeJson(io.out, replayed) : write(io.out, replayedLine(operands[0], replayed)))
      // One that is on its way already is what the operator asked for.
      return replayed.status === 'accepted' ? EXIT_OK : EXIT_FAILED
    })
  },
}
