import { DEFAULT_PAGE_SIZE } from '../domain/limits.ts'
import type { DeliveryJson } from '../http/ops/deliveries.ts'
import { type Command, EXIT_OK, parse, parseCount } from './command.ts'
import { withOps } from './ops-client.ts'
import { first, writePage } from './pages.ts'
import { shortTime } from './table.ts'
import { hintAtUnknown } from './unknown-names.ts'

/** Deliveries that one `list` shows. */
const MAX_LISTED = 10_000
export const DELIVERIES = '/v1/deliveries'

const text = { type: 'string' } as const

export const deadList: Command = {
  name: 'dead list',
  operands: '[options]',
  summary: 'Lists dead letters, the last to die first: deliveries that are not tried again by themselves.',
  options: [
    ['--source <name>', 'of this source'],
    ['--handler <name>', 'of this handler'],
    ['--limit <n>', `how many; ${DEFAULT_PAGE_SIZE} unless given`],
    ['--cursor <cursor>', 'go on where an earlier list ended'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const options = { source: text, handler: text, limit: text, cursor: text, json: { type: 'boolean' } } as const
    const { json, limit = String(DEFAULT_PAGE_SIZE), ...filter } = parse(args, options, []).values
    const count = parseCount('limit', limit, MAX_LISTED)
    return withOps(io, async (ops) => {
      const page = await first<DeliveryJson>(ops, DELIVERIES, { ...filter, state: 'dead' }, count)
      await writePage(io, page, json, deadHeadings, deadRow)
      await hintAtUnknown(io, ops, page, filter)
      return EXIT_OK
    })
  },
}

export const deadHeadings = ['DIED (UTC)', 'EVENT', 'SOURCE', 'TYPE', 'HANDLER', 'ATTEMPTS', 'LAST ERROR']

export const deadRow = (delivery: DeliveryJson): readonly string[] => [
  shortTime(delivery.due_at),
  delivery.event_uid,
  delivery.source,
  delivery.type,
  delivery.handler,
  String(delivery.attempts),
  delivery.last_error ?? '',
]
