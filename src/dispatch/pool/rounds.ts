/** How often processes are looked at: while one does not answer, while anything runs in them, and when nothing does. */
const INTERVALS_MS = { alert: 50, busy: 100, idle: 1_000 } as const
/** How often those are looked at, too, in which nothing runs: at their memory, and whether they are there. */
const MEMORY_INTERVAL_MS = 1_000
const ALL_INTERVAL_MS = 5_000
/** A round that comes so much too late says nothing of the processes: the whole machine stood still. */
const MAX_LATE_MS = 2_000
/** What a round looks at beside the processes at work. */
export type Scope = 'work' | 'memory' | 'all'
export type Alertness = keyof typeof INTERVALS_MS

/** When the pool looks at its processes: often at those at work, seldom at all of them. Costs nothing between. */
export class Rounds {
  readonly #look: (nowMs: number, scope: Scope) => Alertness
  #timer: NodeJS.Timeout | undefined
  #isSoon = false
  #dueAtMs = 0
  #memoryAtMs = 0
  #allAtMs = 0

  /** `look` gives how soon it is to be called again. */
  constructor(look: (nowMs: number, scope: Scope) => Alertness) {
    this.#look = look
  }

  /** There is work. */
  soon(): void {
    if (!this.#isSoon) this.#set('busy')
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#isSoon = true
  }

  #set(alertness: Alertness): void {
    clearTimeout(this.#timer)
    this.#isSoon = alertness !== 'idle'
    this.#dueAtMs = performance.now() + INTERVALS_MS[alertness]
    this.#timer = setTimeout(() => this.#round(), INTERVALS_MS[alertness]).unref()
  }

  #round(): void {
    const nowMs = performance.now()
    if (nowMs - this.#dueAtMs > MAX_LATE_MS) {
      this.#set('busy')
      return
    }
    this.#set(this.#look(nowMs, this.#scopeAt(nowMs)))
  }

  #scopeAt(nowMs: number): Scope {
    if (nowMs - this.#allAtMs >= ALL_INTERVAL_MS) {
      this.#allAtMs = nowMs
      return 'all'
    }
    if (nowMs - this.#memoryAtMs < MEMORY_INTERVAL_MS) return 'work'
    this.#memoryAtMs = nowMs
    return 'memory'
  }
}
