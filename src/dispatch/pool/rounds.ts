/** How often processes are looked at while anything runs in them, and when nothing does. */
const BUSY_INTERVAL_MS = 100
const IDLE_INTERVAL_MS = 5_000

/** When the pool looks at its processes: often at those at work, seldom at all of them. Costs nothing between. */
export class Rounds {
  readonly #look: (nowMs: number, isFull: boolean) => boolean
  #timer: NodeJS.Timeout | undefined
  #isSoon = false
  #fullAtMs = 0

  /** `look` gives whether anything is at work. */
  constructor(look: (nowMs: number, isFull: boolean) => boolean) {
    this.#look = look
  }

  /** There is work. */
  soon(): void {
    if (!this.#isSoon) this.#set(true)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#isSoon = true
  }

  #set(isSoon: boolean): void {
    clearTimeout(this.#timer)
    this.#isSoon = isSoon
    this.#timer = setTimeout(() => this.#round(), isSoon ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS).unref()
  }

  #round(): void {
    const nowMs = Date.now()
    const isFull = nowMs - this.#fullAtMs >= IDLE_INTERVAL_MS
    if (isFull) this.#fullAtMs = nowMs
    this.#set(this.#look(nowMs, isFull))
  }
}
