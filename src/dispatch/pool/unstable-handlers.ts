import type { Logger } from 'pino'

/** Incidents (processes blocked or lost) within `MEMORY_MS` after which a handler is unstable. */
const MAX_INCIDENTS = 3
/**
 * While more handlers than this have incidents, one incident is enough, and handlers of which no attempt has ended well for
 * its process yet are unstable, too: otherwise the other handlers would pay for each of them.
 */
const MANY_HANDLERS = 3
/** A handler without an incident for so long is stable again. */
const MEMORY_MS = 60_000
/** The pause of a handler that does nothing but crash its processes; doubles with each crash, up to the cap. */
const PAUSE_BASE_MS = 50
const PAUSE_CAP_MS = 1_000

interface HandlerRecord {
  incidents: number
  crashes: number
  /** Crashes since one of its attempts ended without one. */
  streak: number
  lastAtMs: number
  pausedUntilMs: number
}

/**
 * Handlers that have blocked or crashed their processes lately. They run in processes of their own, apart from stable handlers.
 * A handler that does nothing else pauses longer from crash to crash, so that a crash loop costs a process a second; it is
 * logged once.
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

  /** From when on the handler may run alone again; 0: now. */
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

  /** One of its attempts ended, well or not, and the process lived on: the handler's pause is over. */
  survived(handler: string): void {
    this.#proven.add(handler)
    const record = this.#records.get(handler)
    if (record === undefined) return
    record.streak = 0
    record.pausedUntilMs = 0
  }

  /** Forgets handlers without an incident for long. True if there were any. */
  forget(nowMs: number): boolean {
    const before = this.#records.size
    for (const [handler, record] of this.#records) {
      if (nowMs - record.lastAtMs < MEMORY_MS) continue
      this.#records.delete(handler)
      if (record.incidents >= MAX_INCIDENTS)
        this.#log.info(
          { handler, troubles: record.incidents },
          'a handler that was in trouble runs with the others again',
        )
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
