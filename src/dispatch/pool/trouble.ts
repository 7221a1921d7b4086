import type { Logger } from 'pino'

/** Processes blocked or lost within `MEMORY_MS` after which a handler runs apart from the others. */
const MAX_TROUBLES = 3
/**
 * Where more handlers than so many do so, one time is enough, and those of which no attempt has ended well for its process yet
 * run apart, too: the others would pay for each of them.
 */
const MANY_HANDLERS = 3
/** A handler that has kept quiet for so long is as good as any other. */
const MEMORY_MS = 60_000
/** How long a handler waits that does nothing but end its processes; doubles with each, up to the cap. */
const PAUSE_BASE_MS = 50
const PAUSE_CAP_MS = 1_000

interface Record {
  troubles: number
  losses: number
  /** Losses since one of its attempts ended otherwise. */
  streak: number
  lastAtMs: number
  pausedUntilMs: number
}

/**
 * Which handlers have blocked or ended their processes lately. Those run in processes of their own, apart from all others; and
 * one that does nothing else waits longer from loss to loss: a crash loop costs a process a second, and is logged once.
 */
export class Trouble {
  readonly #log: Logger
  readonly #records = new Map<string, Record>()
  /** Handlers of which an attempt has ended, and its process lived on. */
  readonly #proven = new Set<string>()

  constructor(log: Logger) {
    this.#log = log
  }

  isTroubled(handler: string): boolean {
    const troubles = this.#records.get(handler)?.troubles ?? 0
    if (this.#records.size <= MANY_HANDLERS) return troubles >= MAX_TROUBLES
    return troubles > 0 || !this.#proven.has(handler)
  }

  /** Whether it has blocked or ended a process lately. */
  hasAny = (handler: string): boolean => this.#records.has(handler)

  /** From when on it may run again; 0: now. */
  pausedUntilMs = (handler: string): number => this.#records.get(handler)?.pausedUntilMs ?? 0

  blocked(handler: string, nowMs: number): void {
    const record = this.#recordOf(handler)
    record.troubles++
    record.lastAtMs = nowMs
    if (record.troubles === MAX_TROUBLES)
      this.#log.warn({ handler }, 'a handler keeps blocking its process: it runs apart from the others')
  }

  lost(handler: string, nowMs: number, fault: string): void {
    const record = this.#recordOf(handler)
    record.troubles++
    record.losses++
    record.streak++
    record.lastAtMs = nowMs
    if (record.losses === MAX_TROUBLES)
      this.#log.warn({ handler, error: fault }, 'a handler keeps ending its process: it runs apart from the others')
    if (record.streak >= MAX_TROUBLES)
      record.pausedUntilMs = nowMs + Math.min(PAUSE_CAP_MS, PAUSE_BASE_MS * 2 ** (record.streak - MAX_TROUBLES))
  }

  /** One of its attempts ended, well or not, and its process lived on: others of it need not wait. */
  survived(handler: string): void {
    this.#proven.add(handler)
    const record = this.#records.get(handler)
    if (record === undefined) return
    record.streak = 0
    record.pausedUntilMs = 0
  }

  /** Forgets what is long ago. False if there was nothing to forget. */
  forget(nowMs: number): boolean {
    const before = this.#records.size
    for (const [handler, record] of this.#records) {
      if (nowMs - record.lastAtMs < MEMORY_MS) continue
      this.#records.delete(handler)
      if (record.troubles >= MAX_TROUBLES)
        this.#log.info(
          { handler, troubles: record.troubles },
          'a handler that was in trouble runs with the others again',
        )
    }
    return this.#records.size < before
  }

  get isQuiet(): boolean {
    return this.#records.size === 0
  }

  #recordOf(handler: string): Record {
    const record = this.#records.get(handler) ?? { troubles: 0, losses: 0, streak: 0, lastAtMs: 0, pausedUntilMs: 0 }
    this.#records.set(handler, record)
    return record
  }
}
