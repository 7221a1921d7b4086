import type { Clock } from '../domain/clock.ts'
import { newUid } from '../domain/names.ts'
import { STAT_SPANS, type StatRow, type StatStore } from '../domain/stat-store.ts'
import { isAcknowledged, type RequestOutcome, type Telemetry } from '../domain/telemetry.ts'
import { type HandlerNumbers, HandlersOfHour } from './handler-numbers.ts'
import { Numbers } from './numbers.ts'

/** How often the numbers that have changed are handed to the store. A crash loses what was counted since, and what the store has not committed. */
const FLUSH_MS = 5_000
/** Handlers whose numbers one flush writes, so that it is short; the others of them wait for the next. */
const MAX_HANDLERS_WRITTEN = 100
/** Rows that wait for a store that cannot write; beyond it the oldest are given up. */
const MAX_WAITING_ROWS = 5_000
/** If the clock goes back by at most this time, the numbers of the time that comes again are counted where the clock was. */
const MAX_STEP_BACK_MS = STAT_SPANS.hour
/** The name of the service itself among the sources. */
export const SERVICE = ''

export interface StatsRecorderOptions {
  readonly store: Pick<StatStore, 'recordStats'>
  /** The sources that are configured: nothing else is counted. */
  readonly sources: () => { has(name: string): boolean }
  /** Whether this process receives webhooks. */
  readonly receives: boolean
  readonly clock: Clock
}

/** One source in the present minute and the hour that it is in. */
interface Counted {
  minute: Numbers
  /** Of the minutes before. */
  readonly hour: Numbers
  isChanged: boolean
  readonly handlers: CountedHandlers
}

/** The row of the handlers of one source in one hour. */
interface CountedHandlers extends Pick<StatRow, 'atMs' | 'source' | 'writer'> {
  readonly counted: HandlersOfHour
}

/**
 * Counts, by minute and source, and writes the numbers into the store: rows of its own, each with the whole of its period so far, so
 * that a row that is written twice counts once. They go along with commits that there are anyway (`StatStore.recordStats`).
 */
export class StatsRecorder implements Telemetry {
  readonly #options: StatsRecorderOptions
  #writer = newUid()
  #nowMs = 0
  #minuteMs = Number.NEGATIVE_INFINITY
  #bySource = new Map<string, Counted>()
  #waiting = new Map<string, StatRow>()
  /** Those that have changed since they were written, the first of them first. */
  readonly #changedHandlers = new Set<CountedHandlers>()
  readonly #lastWebhooks = new Map<string, number>()
  #calls = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: StatsRecorderOptions) {
    this.#options = options
  }

  start(): void {
    // One call at a time: an older row must not be written after a newer one.
    this.#timer ??= setInterval(() => {
      if (this.#calls === 0) void this.flush()
    }, FLUSH_MS).unref()
  }

  /** Writes the rest. The store commits it before it closes. */
  stop(): void {
    clearInterval(this.#timer)
    void this.flush(Number.POSITIVE_INFINITY)
  }

  /** Hands the store what has changed. What it cannot write now is written with the next flush. */
  async flush(maxHandlers = MAX_HANDLERS_WRITTEN): Promise<void> {
    this.#markRunning()
    this.#collect()
    this.#collectHandlers(maxHandlers)
    if (this.#waiting.size === 0) return
    const sent = this.#waiting
    this.#waiting = new Map()
    this.#calls++
    try {
      await this.#options.store.recordStats([...sent.values()])
    } catch {
      this.#keep(sent)
    } finally {
      this.#calls--
    }
  }

  /** The rows of the present minute and hour as they are now. */
  present(): readonly StatRow[] {
    this.#markRunning()
    return [...this.#bySource].flatMap(([source, counted]) => this.#rowsOf(source, counted))
  }

  /** When the last authentic webhook of a source came to this process. */
  lastWebhookAtMs = (source: string): number | undefined => this.#lastWebhooks.get(source)

  #markRunning(): void {
    this.#turn()
    const service = this.#bySource.get(SERVICE) ?? this.#begin(SERVICE)
    if (this.#options.receives && service.hour.minutes.set(this.#minuteOfHour())) service.isChanged = true
  }

  request(source: string | undefined, outcome: RequestOutcome): void {
    const counted = this.#known(source)
    if (source === undefined || counted === undefined) return
    if (outcome === 'duplicate') counted.minute.duplicates++
    else if (outcome === 'quarantined') counted.minute.quarantined++
    else if (!isAcknowledged(outcome)) counted.minute.refuse(outcome)
    // A request that the service could not take was a sign of life, too.
    if (outcome !== 'unavailable' && !isAcknowledged(outcome)) return
    counted.hour.minutes.set(this.#minuteOfHour())
    this.#lastWebhooks.set(source, this.#nowMs)
  }

  acknowledged(source: string, seconds: number): void {
    this.#known(source)?.minute.ack.observe(seconds)
  }

  received(source: string): void {
    const counted = this.#known(source)
    if (counted !== undefined) counted.minute.received++
  }

  processed(source: string, _type: string, handler: string, seconds: number): void {
    this.#attempted(source, handler, 'handled', seconds)
  }

  failed(source: string, _type: string, handler: string, seconds: number): void {
    this.#attempted(source, handler, 'failed', seconds)
  }

  #attempted(source: string, handler: string, outcome: 'handled' | 'failed', seconds: number): void {
    const counted = this.#known(source)
    if (counted === undefined) return
    counted.minute[outcome]++
    counted.minute.handler.observe(seconds)
    const ofHandler = this.#ofHandler(counted, handler)
    if (ofHandler === undefined) return
    ofHandler[outcome]++
    ofHandler.times.observe(seconds)
  }

  started(source: string, handler: string, seconds: number): void {
    const counted = this.#known(source)
    if (counted === undefined) return
    counted.minute.queue.observe(seconds)
    this.#ofHandler(counted, handler)?.queue.observe(seconds)
  }

  #ofHandler({ handlers }: Counted, handler: string): HandlerNumbers | undefined {
    this.#changedHandlers.add(handlers)
    return handlers.counted.of(handler)
  }

  dead(source: string): void {
    const counted = this.#known(source)
    if (counted !== undefined) counted.minute.dead++
  }

  taskResolved(source: string, by: string): void {
    const counted = by === 'webhook' ? undefined : this.#known(source)
    if (counted === undefined) return
    if (by === 'poll') counted.minute.recovered++
    else counted.minute.expired++
  }

  unhandled(): void {}
  polled(): void {}

  drifted(): void {}

  #known(source: string | undefined): Counted | undefined {
    if (source === undefined) return undefined
    this.#turn()
    const known = this.#bySource.get(source)
    // Within an hour, a source that is not configured any more is still counted.
    if (known === undefined && !this.#options.sources().has(source)) return undefined
    const counted = known ?? this.#begin(source)
    counted.isChanged = true
    return counted
  }

  #begin(source: string): Counted {
    const atMs = beginningOf('hour', this.#minuteMs)
    const handlers = { atMs, source, writer: this.#writer, counted: new HandlersOfHour() }
    const counted: Counted = { minute: new Numbers(), hour: new Numbers(), isChanged: false, handlers }
    this.#bySource.set(source, counted)
    return counted
  }

  /** Begins a new minute, and a new hour with it, if the clock says so. */
  #turn(): void {
    const nowMs = this.#options.clock()
    this.#nowMs = nowMs
    if (nowMs >= this.#minuteMs && nowMs < this.#minuteMs + STAT_SPANS.minute) return
    const minuteMs = beginningOf('minute', nowMs)
    const backMs = this.#minuteMs - minuteMs
    if (backMs > 0 && backMs <= MAX_STEP_BACK_MS) return
    this.#collect()
    // The rows of the time that comes again are not to be written over.
    if (backMs > 0) this.#writer = newUid()
    const isNewHour = beginningOf('hour', minuteMs) !== beginningOf('hour', this.#minuteMs)
    this.#minuteMs = minuteMs
    if (isNewHour) this.#bySource.clear()
    for (const counted of this.#bySource.values()) {
      counted.hour.add(counted.minute)
      counted.minute = new Numbers()
    }
  }

  #minuteOfHour(): number {
    return (this.#minuteMs - beginningOf('hour', this.#minuteMs)) / STAT_SPANS.minute
  }

  /** Turns what has changed into rows. */
  #collect(): void {
    for (const [source, counted] of this.#bySource) {
      if (!counted.isChanged) continue
      counted.isChanged = false
      for (const row of this.#rowsOf(source, counted)) this.#waiting.set(keyOf(row), row)
    }
  }

  #collectHandlers(max: number): void {
    let left = max
    for (const handlers of this.#changedHandlers) {
      if (left <= 0) break
      this.#changedHandlers.delete(handlers)
      const { counted, ...of } = handlers
      left -= counted.size
      const row = { ...of, span: 'handlers', numbers: counted.toText() } as const
      this.#waiting.set(keyOf(row), row)
    }
  }

  #rowsOf(source: string, { minute, hour: before }: Counted): readonly StatRow[] {
    const hour = new Numbers()
    hour.add(before)
    hour.add(minute)
    const row = { source, writer: this.#writer } as const
    const ofHour = { ...row, span: 'hour', atMs: beginningOf('hour', this.#minuteMs), numbers: hour.toText() } as const
    if (source === SERVICE) return [ofHour]
    return [{ ...row, span: 'minute', atMs: this.#minuteMs, numbers: minute.toText() }, ofHour]
  }

  /** Puts back what could not be written, unless there is a newer row in its place. */
  #keep(rows: ReadonlyMap<string, StatRow>): void {
    const all = [...new Map([...rows, ...this.#waiting])]
    this.#waiting = new Map(all.slice(-MAX_WAITING_ROWS))
  }
}

const beginningOf = (span: keyof typeof STAT_SPANS, ms: number): number => ms - (ms % STAT_SPANS[span])

const keyOf = ({ span, atMs, source, writer }: StatRow): string => `${span} ${atMs} ${source} ${writer}`
