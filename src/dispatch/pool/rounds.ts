/** How often processes are looked at: while one does not answer, while anything runs in them, and when nothing does. */
const INTERVALS_MS = { alert: 50, busy: 100, idle: 1_000 } as const
/** A round that comes so much too late says nothing of the processes: the whole machine stood still. */
const MAX_LATE_MS = 2_000
export type Alertness = keyof typeof INTERVALS_MS

/** When the pool looks at its processes: often at those at work, seldom at all of them. Costs nothing between. */
export class Rounds {
  readonly #look: (nowMs: number, isFull: boolean) => Alertness
  #timer: NodeJS.Timeout | undefined
  #isSoon = false
  #dueAtMs = 0
  #fullAtMs = 0

  /** `look` gives how soon it is to be called again. */
  constructor(look: (nowMs: number, isFull: boolean) => Alertness) {
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
    const isFull = nowMs - this.#fullAtMs >= INTERVALS_MS.idle
    if (isFull) this.#fullAtMs = nowMs
    this.#set(this.#look(nowMs, isFull))
  }
}
