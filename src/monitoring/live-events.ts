import type { Logger } from 'pino'
import { HoldfastError, messageOf } from '../domain/errors.ts'
import type { EventTail, TailedEvent } from '../domain/event-tail.ts'
import {
  type LiveBatch,
  type LiveEvent,
  type LiveEvents,
  type LiveFilter,
  type LiveReader,
  type LiveRequest,
  MAX_LIVE_READERS,
} from '../domain/live.ts'
import type { ReplayJobs } from '../domain/replay-jobs.ts'
import { matcherOf } from './live-filter.ts'
import { createPayloadSearch, type FindMatches, OutcomeWatch, type SearchPayloads } from './live-search.ts'

/** How often the store is asked for new events, while there are readers. */
const POLL_MS = 200
/** How long the tail waits after the store could not answer. */
const FAULT_PAUSE_MS = 1_000
/** Events of one read, and of one batch for a reader. */
const BATCH_EVENTS = 200
/** The newest events, in memory for all readers; a reader that has kept up and then falls further behind is too slow. */
const MAX_RECENT_EVENTS = 8_192

/** Time between two looks for events with an outcome; after a look that took long, it is so many times as long. */
const LOOK_MS = 1_000
const LOOK_SHARE = 9

interface LiveFeedOptions {
  readonly store: EventTail & { readonly replayJobs: Pick<ReplayJobs, 'matches'> }
  readonly log: Logger
  /** For tests. */
  readonly maxRecentEvents?: number
}

/**
 * One tail of the store for all readers of this process. It runs only while there are readers, and apart from acknowledgements: it
 * reads what is stored.
 */
export class LiveFeed implements LiveEvents {
  readonly #store: EventTail
  readonly #find: FindMatches
  readonly #log: Logger
  readonly #maxRecent: number
  /** The events between the two positions. */
  #recent: TailedEvent[] = []
  #from = 0
  #until = 0
  #isTailing = false
  #readers = 0
  #isRunning = false
  readonly #stopping = new AbortController()
  /** How often there was something new; and how the readers that wait for it are woken. */
  #news = 0
  readonly #waiting = new Set<() => void>()
  /** One reader at a time reads old events, or searches. */
  #reading: Promise<unknown> = Promise.resolve()

  constructor({ store, log, maxRecentEvents = MAX_RECENT_EVENTS }: LiveFeedOptions) {
    this.#store = store
    this.#find = (...search) => this.#inTurn(() => store.replayJobs.matches(...search))
    this.#log = log
    this.#maxRecent = maxRecentEvents
  }

  async open({ filter, after }: LiveRequest): Promise<LiveReader> {
    if (this.#stopping.signal.aborted) throw new HoldfastError('unavailable', 'shutting down')
    if (this.#readers >= MAX_LIVE_READERS)
      throw new HoldfastError(
        'too_many_readers',
        `${MAX_LIVE_READERS} readers follow the events of this process already`,
      )
    this.#readers++
    try {
      const matches = matcherOf(filter)
      const position = await this.#startOf(filter, after)
      this.#begin()
      if (filter.outcome !== undefined) return this.#watchAt(position, new OutcomeWatch(filter, this.#find, position))
      return this.#readerAt(position, matches, createPayloadSearch(filter, this.#find))
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  end(): Promise<number> {
    return this.#store.tailEnd()
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  /** Ends all readers. Later ones are refused. */
  close(): void {
    this.#stopping.abort()
    this.#wake()
  }

  async #startOf({ sinceMs }: LiveFilter, after: number | undefined): Promise<number> {
    if (after === undefined) return sinceMs === undefined ? this.#store.tailEnd() : this.#store.tailSince(sinceMs)
    // A position that this store has not reached is from another store: a backup was restored, for example.
    return this.#isTailing && after <= this.#until ? after : Math.min(after, await this.#store.tailEnd())
  }

  #begin(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    void this.#follow()
  }

  async #follow(): Promise<void> {
    let isFailing = false
    while (this.#readers > 0 && !this.#stopping.signal.aborted) {
      let pauseMs = POLL_MS
      try {
        if (await this.#readNew()) pauseMs = 0
        isFailing = false
      } catch (error) {
        if (!isFailing) this.#log.warn({ error: messageOf(error) }, 'the events for live readers could not be read')
        isFailing = true
        pauseMs = FAULT_PAUSE_MS
      }
      await pause(pauseMs, this.#stopping.signal)
    }
    this.#isRunning = false
    this.#isTailing = false
    this.#recent = []
  }

  /** Resolves with whether there may be more. */
  async #readNew(): Promise<boolean> {
    if (!this.#isTailing) {
      const end = await this.#store.tailEnd()
      this.#from = end
      this.#until = end
      this.#isTailing = true
      this.#wake()
      return true
    }
    const { events, position } = await this.#store.tail(this.#until, BATCH_EVENTS)
    this.#add(events, position)
    return events.length === BATCH_EVENTS
  }

  #add(events: readonly TailedEvent[], position: number): void {
    this.#until = position
    if (events.length === 0) return
    this.#recent.push(...events)
    // Shortened by large steps, since each one moves the rest.
    if (this.#recent.length >= 2 * this.#maxRecent) {
      const dropped = this.#recent.splice(0, this.#recent.length - this.#maxRecent)
      this.#from = dropped.at(-1)?.position ?? this.#from
    }
    this.#wake()
  }

  #wake(): void {
    this.#news++
    for (const wake of this.#waiting) wake()
  }

  #leave(): void {
    this.#readers--
  }

  /** Gives events as they are stored. */
  #readerAt(
    start: number,
    matches: (event: TailedEvent['event']) => boolean,
    search: SearchPayloads = async (events) => events,
  ): LiveReader {
    let position = start
    let hasCaughtUp = false

    /** Undefined: there are no newer events now. */
    const more = async (): Promise<readonly TailedEvent[] | undefined> => {
      if (!this.#isTailing) return undefined
      if (position >= this.#until) {
        hasCaughtUp = true
        return undefined
      }
      if (position >= this.#from) {
        hasCaughtUp = true
        const events = this.#recentAfter(position)
        position = events.at(-1)?.position ?? this.#until
        return events
      }
      const page = await this.#readOld(position)
      position = page.position
      return page.events
    }

    const next = async (maxWaitMs: number, signal: AbortSignal): Promise<LiveBatch> => {
      const untilMs = performance.now() + maxWaitMs
      for (;;) {
        if (this.#stopping.signal.aborted) return { end: 'stopping' }
        if (hasCaughtUp && position < this.#from) return { end: 'slow' }
        const news = this.#news
        const found = await more()
        const events = found && (await search(found.filter(({ event }) => matches(event))))
        const leftMs = untilMs - performance.now()
        if ((events !== undefined && events.length > 0) || signal.aborted || leftMs <= 0)
          return { events: events ?? [] }
        if (events === undefined && news === this.#news) await pause(leftMs, signal, this.#waiting)
      }
    }
    return { position: () => position, next, close: this.#closeOnce() }
  }

  /** Gives events as they get their outcome. */
  #watchAt(start: number, watch: OutcomeWatch): LiveReader {
    let position = start
    let lookedUntil = start
    let lookAtMs = 0
    /** Found, and not given yet. */
    let keys: readonly number[] = []

    const look = async (): Promise<void> => {
      const startedMs = performance.now()
      lookedUntil = this.#until
      keys = await watch.look(lookedUntil)
      lookAtMs = performance.now() + Math.max(LOOK_MS, LOOK_SHARE * (performance.now() - startedMs))
    }

    const take = async (): Promise<readonly LiveEvent[]> => {
      const events: LiveEvent[] = []
      for (const key of keys.slice(0, BATCH_EVENTS)) {
        const [found] = (await this.#readOld(key - 1, 1)).events
        if (found?.position === key) events.push({ position, event: found.event })
      }
      keys = keys.slice(BATCH_EVENTS)
      if (keys.length > 0) return events
      position = lookedUntil
      return events.map((each, at) => (at === events.length - 1 ? { ...each, position } : each))
    }

    const next = async (maxWaitMs: number, signal: AbortSignal): Promise<LiveBatch> => {
      const untilMs = performance.now() + maxWaitMs
      for (;;) {
        if (this.#stopping.signal.aborted) return { end: 'stopping' }
        if (this.#isTailing && keys.length === 0 && performance.now() >= lookAtMs) await look()
        const events = await take()
        const nowMs = performance.now()
        if (events.length > 0 || signal.aborted || nowMs >= untilMs) return { events }
        const wakeAtMs = this.#isTailing ? Math.min(untilMs, lookAtMs) : untilMs
        if (keys.length === 0) await pause(Math.max(0, wakeAtMs - nowMs), signal, this.#waiting)
      }
    }
    return { position: () => position, next, close: this.#closeOnce() }
  }

  #closeOnce(): () => void {
    let isClosed = false
    return () => {
      if (!isClosed) this.#leave()
      isClosed = true
    }
  }

  #recentAfter(position: number): readonly TailedEvent[] {
    let [low, high] = [0, this.#recent.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#recent[middle]?.position ?? 0) > position) high = middle
      else low = middle + 1
    }
    return this.#recent.slice(low, low + BATCH_EVENTS)
  }

  #readOld(position: number, limit = BATCH_EVENTS) {
    return this.#inTurn(() => this.#store.tail(position, limit))
  }

  #inTurn<Found>(read: () => Promise<Found>): Promise<Found> {
    const reading = this.#reading.then(read)
    this.#reading = reading.catch(() => {})
    return reading
  }
}

/** Resolves after the time, when the signal is aborted, or when what it adds to `waking` is called. Leaves nothing behind. */
const pause = (ms: number, signal: AbortSignal, waking?: Set<() => void>): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      waking?.delete(end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    waking?.add(end)
  })
