import { HoldfastError } from '../domain/errors.ts'
import type { EventSummary } from '../domain/event.ts'
import type { EventStore } from '../domain/event-store.ts'
import { newUid } from '../domain/names.ts'
import { type KeyRange, MAX_OPEN_REPLAYS, type ReplayFilter, type ReplayJobs } from '../domain/replay-jobs.ts'
import {
  type CountLimits,
  MAX_COUNTED_MATCHES,
  type Matched,
  REPLAY_SAMPLE_SIZE,
  type ReplayOrder,
  type ReplayService,
} from '../domain/replay-service.ts'

/** How long matches are counted before the answer says how many there are at least. */
const LIMITS: CountLimits = { matches: MAX_COUNTED_MATCHES, ms: 2_000 }
const COUNTED_AT_ONCE = 1_000

export interface ReplayServiceOptions {
  readonly jobs: ReplayJobs
  readonly event: EventStore['event']
  readonly isSource: (name: string) => boolean
  readonly isHandler: (name: string) => boolean
  /** Whether a delivery is dead of this cause. */
  readonly isCause: (id: string) => Promise<boolean>
  /** Called after a job was created. */
  readonly onCreated: () => void
  readonly monotonicMs: () => number
}

interface Counted extends Matched {
  readonly range: KeyRange
  readonly first: readonly string[]
}

export function createReplayService(options: ReplayServiceOptions): ReplayService {
  const { jobs, event, onCreated } = options

  const found = async <Job>(id: string, job: Promise<Job | undefined>): Promise<Job> => {
    const existing = await job
    if (existing === undefined) throw new HoldfastError('replay_not_found', `there is no replay ${id}`)
    return existing
  }

  return {
    async dryRun(order, limits) {
      await check(order, options)
      const { matched, more, first } = await count(filterOf(order), options, limits)
      const sample: EventSummary[] = []
      for (const uid of first) {
        const detail = await event(uid)
        if (detail !== undefined) sample.push(detail)
      }
      return { matched, more, sample }
    },

    async create(order) {
      await check(order, options)
      const { by, perSecond, probe } = order
      const filter = filterOf(order)
      const handler = order.handler ?? filter.handler
      const { matched, more, range } = await count(filter, options)
      const id = order.id ?? newUid()
      const created = await jobs.create({
        id,
        filter,
        matched,
        range,
        ...(by !== undefined && { by }),
        ...(handler !== undefined && { handler }),
        ...(perSecond !== undefined && { perSecond }),
        ...(probe && { probe: { state: 'waiting' } }),
        ...(more && { matchedMore: true }),
      })
      if (created.outcome === 'same' && created.id !== id)
        throw new HoldfastError('conflict', `replay ${created.id} does the same and is running`)
      if (created.outcome === 'full')
        throw new HoldfastError('conflict', `${MAX_OPEN_REPLAYS} replays are running or waiting`)
      if (created.outcome === 'created') onCreated()
      return { id, matched, more }
    },

    list: (page) => jobs.list(page),
    show: (id) => found(id, jobs.find(id)),
    cancel: (id) => found(id, jobs.cancel(id)),
  }
}

/** Throws if the order names what does not exist, or means every event without saying so. */
async function check(
  { filter, all, handler }: ReplayOrder,
  { isSource, isHandler, isCause }: ReplayServiceOptions,
): Promise<void> {
  if (Object.keys(filter).length === 0 && !all)
    throw new HoldfastError('invalid_request', 'the filter is empty: to replay every event, say all: true')
  if (filter.source !== undefined && !isSource(filter.source))
    throw new HoldfastError('unknown_source', `there is no source ${filter.source}`)
  for (const name of [handler, filter.handler])
    if (name !== undefined && !isHandler(name))
      throw new HoldfastError('handler_not_found', `there is no handler ${name}`)
  if (filter.cause !== undefined && filter.delivery === 'dead' && !(await isCause(filter.cause)))
    throw new HoldfastError('invalid_request', `no delivery is dead of the cause ${filter.cause}`)
}

async function count(
  filter: ReplayFilter,
  { jobs, monotonicMs }: ReplayServiceOptions,
  limits: CountLimits = LIMITS,
): Promise<Counted> {
  const range = await jobs.range(filter)
  const untilMs = monotonicMs() + limits.ms
  const first: string[] = []
  let matched = 0
  let { after } = range
  while (after < range.last && matched < limits.matches && monotonicMs() < untilMs) {
    const { events, readTo } = await jobs.matches(filter, { ...range, after }, COUNTED_AT_ONCE)
    matched += events.length
    first.push(...events.slice(0, REPLAY_SAMPLE_SIZE - first.length).map(({ uid }) => uid))
    after = readTo
  }
  return { matched, more: after < range.last, range, first }
}

/** Of the deliveries in a state, those to the handler that is to run: other events would only be skipped. */
function filterOf({ filter, handler }: ReplayOrder): ReplayFilter {
  if (handler === undefined || filter.delivery === undefined || filter.handler !== undefined) return filter
  return { ...filter, handler }
}
