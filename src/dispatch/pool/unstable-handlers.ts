import type { Logger } from 'pino'

/** Incidents (processes blocked or lost) within `MEMORY_MS` after which a handler is unstable. */
const MAX_INCIDENTS = 3
/**
 * While more handlers than this have incidents, a handler is unstable after one incident, and so is every handler of which no
 * attempt has yet ended while its process lived on. Otherwise each of those handlers could end attempts of the stable ones.
 */
const MANY_HANDLERS = 3
/** A handler that has had no incident for this long is stable again. */
const MEMORY_MS = 60_000
/** The pause of a handler whose attempts all crash their processes; it doubles with each crash, up to the cap. */
const PAUSE_BASE_MS = 50
const PAUSE_CAP_MS = 1_000

interface HandlerRecord {
  incidents: number
  crashes: number
  /** Crashes since an attempt of the handler last ended while its process lived on. */
  streak: number
  lastAtMs: number
  pausedUntilMs: number
}

/**
 * Knows the handlers that have blocked or crashed their processes lately. They run in processes apart from stable handlers. A
 * handler whose attempts all crash pauses longer after each crash, so that in the end its crash loop costs one process a
 * second; it is logged once.
 */
export class UnstableHandlers {
  readonly #log: Logger
  readonly #records = new Map<string, HandlerRecord>()
  /** Handlers of which an attempt has ended while its process lived on. */
  readonly #proven = new Set<string>()

  constructor(log: Logger) {
    this.#log = log
  }

  isUnstable(handler: string): boolean {
    const incidents = this.#records.get(handler)?.incidents ?? 0
    if (this.#records.size <= MANY_HANDLERS) return incidents >= MAX_INCIDENTS
    return incidents > 0 || !this.#proven.has(handler)
  }

  /** Whether the handler has blocked or crashed a process lately. */
  hasIncidents = (handler: string): boolean => this.#records.has(handler)

  /** When the pause of the handler ends, by the monotonic clock; 0 if it has none. Only attempts that run alone wait for it. */
  pausedUntilMs = (handler: string): number => this.#records.get(handler)?.pausedUntilMs ?? 0

  blocked(handler: string, nowMs: number): void {
    const record = this.#recordOf(handler)
    record.incidents++
    record.lastAtMs = nowMs
    if (record.incidents === MAX_INCIDENTS)
      this.#log.warn({ handler }, 'a handler keeps blocking its process: it runs apart from the others')
  }

  crashed(handler: string, nowMs: number, reason: string): void {
    const record = this.#recordOf(handler)
    record.incidents++
    record.crashes++
    record.streak++
    record.lastAtMs = nowMs
    if (record.crashes === MAX_INCIDENTS)
      this.#log.warn({ handler, error: reason }, 'a handler keeps ending its process: it runs apart from the others')
    if (record.streak >= MAX_INCIDENTS)
      record.pausedUntilMs = nowMs + Math.min(PAUSE_CAP_MS, PAUSE_BASE_MS * 2 ** (record.streak - MAX_INCIDENTS))
  }

  /**
   * Says that an attempt of the handler has ended, with whatever outcome, and that its process lives on. Ends the pause of the
   * handler.
   */
  survived(handler: string): void {
    this.#proven.add(handler)
    const record = this.#records.get(handler)
    if (record === undefined) return
    record.streak = 0
    record.pausedUntilMs = 0
  }

  /** Forgets handlers that have had no incident for `MEMORY_MS`. Returns whether there were any. */
  forget(nowMs: number): boolean {
    const before = this.#records.size
    for (const [handler, record] of this.#records) {
      if (nowMs - record.lastAtMs < MEMORY_MS) continue
      this.#records.delete(handler)
      if (record.incidents >= MAX_INCIDENTS)
        this.#log.info({ handler, incidents: record.incidents }, 'a handler is stable: it runs with the others again')
    }
    return this.#records.size < before
  }

  /** No handler has had an incident lately. */
  get isEmpty(): boolean {
    return this.#records.size === 0
  }

  #recordOf(handler: string): HandlerRecord {
    const record = this.#records.get(handler) ?? { incidents: 0, crashes: 0, streak: 0, lastAtMs: 0, pausedUntilMs: 0 }
    this.#records.set(handler, record)
    return record
  }
}
