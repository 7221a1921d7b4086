import type { Logger } from 'pino'
import { HoldfastError, messageOf } from '../domain/errors.ts'
import type { EventTail, TailedEvent } from '../domain/event-tail.ts'
import {
  type LiveBatch,
  type LiveEnd,
  type LiveEvents,
  type LiveFilter,
  type LiveReader,
  type LiveRequest,
  MAX_LIVE_READERS,
} from '../domain/live.ts'
import { matcherOf } from './live-filter.ts'

/** How often the store is asked for new events, while there are readers. */
const POLL_MS = 200
/** How long the tail waits after the store could not answer. */
const FAULT_PAUSE_MS = 1_000
/** Events of one read, and of one batch for a reader. */
const BATCH_EVENTS = 200
/** The newest events, in memory for all readers; a reader that has kept up and then falls further behind is too slow. */
const MAX_RECENT_EVENTS = 8_192

interface LiveFeedOptions {
  readonly store: EventTail
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
  /** One reader at a time reads old events. */
  #reading: Promise<unknown> = Promise.resolve()

  constructor({ store, log, maxRecentEvents = MAX_RECENT_EVENTS }: LiveFeedOptions) {
    this.#store = store
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
      return this.#readerAt(position, matches)
    } catch (error) {
      this.#leave()
      throw error
    }
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

  #readerAt(start: number, matches: (event: TailedEvent['event']) => boolean): LiveReader {
    let position = start
    let hasCaughtUp = false
    let isClosed = false
    const over = (end: LiveEnd): LiveBatch => ({ end })

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
        if (this.#stopping.signal.aborted) return over('stopping')
        if (hasCaughtUp && position < this.#from) return over('slow')
        const news = this.#news
        const events = (await more())?.filter(({ event }) => matches(event))
        const leftMs = untilMs - performance.now()
        if ((events !== undefined && events.length > 0) || signal.aborted || leftMs <= 0)
          return { events: events ?? [] }
        if (events === undefined && news === this.#news) await pause(leftMs, signal, this.#waiting)
      }
    }
    return {
      position: () => position,
      next,
      close: () => {
        if (!isClosed) this.#leave()
        isClosed = true
      },
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

  #readOld(position: number) {
    const reading = this.#reading.then(() => this.#store.tail(position, BATCH_EVENTS))
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
