import { type HandlerProcess, UnloadableError } from './handler-process.ts'
import { residentMb, waitedForCpuMs } from './memory-and-cpu.ts'

/** The watchdog pings a process that has sent nothing for this long. */
const PING_AFTER_MS = 50
/**
 * A process is blocked if it has not answered a ping for `BLOCKED_AFTER_MS`, and did not wait for a processor during more than
 * `BLOCKED_OWN_MS` of that time.
 */
const BLOCKED_AFTER_MS = 200
const BLOCKED_OWN_MS = 120
/** The time past an attempt's deadline after which its process is killed; less if the process is known to be blocked. */
const STUCK_AFTER_MS = 1_000
const STUCK_WHEN_BLOCKED_MS = 150

interface Ping {
  readonly sentAtMs: number
  /** How long the process had waited for a processor, in total, when the ping was sent. */
  readonly waitedMs: number
  /** The key of the attempt that the process had started last when the ping was sent. */
  readonly lastStarted: number
}

/** What a check of a process finds. */
type ProcessHealth =
  | { readonly kind: 'healthy' }
  /** A ping is not answered yet. */
  | { readonly kind: 'pinged' }
  /** The process does not answer: the service sends it no attempts. */
  | { readonly kind: 'blocked' }
  /** The process must be killed for this reason. */
  | { readonly kind: 'kill'; readonly reason: string }

/** Checks handler processes from outside: heartbeat, memory limit and deadlines. A blocked process cannot be checked from inside. */
export class Watchdog {
  readonly #memoryMb: number
  readonly #pings = new WeakMap<HandlerProcess, Ping>()

  /** `memoryMb`: the resident memory past which a process is killed. */
  constructor(memoryMb: number) {
    this.#memoryMb = memoryMb
  }

  /** Throws `UnloadableError` if the handler modules alone take more memory than a process may have. */
  assertModulesFit(processes: readonly HandlerProcess[]): void {
    const usedMb = Math.max(0, ...processes.map(({ pid }) => residentMb(pid) ?? 0))
    if (usedMb < this.#memoryMb) return
    throw new UnloadableError([
      `HANDLER_MEMORY_MB is ${this.#memoryMb}, and the handler modules alone take ${Math.ceil(usedMb)} MiB.`,
    ])
  }

  /** The reason to kill a process that has outgrown its memory limit; undefined if it has not. */
  overMemoryLimit(process: HandlerProcess): string | undefined {
    const memoryMb = residentMb(process.pid)
    return memoryMb !== undefined && memoryMb > this.#memoryMb
      ? `the handler process grew past ${this.#memoryMb} MiB`
      : undefined
  }

  check(process: HandlerProcess, nowMs: number): ProcessHealth {
    const reason = this.overMemoryLimit(process)
    if (reason !== undefined) return { kind: 'kill', reason }
    const kind = this.#heartbeat(process, nowMs)
    const graceMs = kind === 'blocked' ? STUCK_WHEN_BLOCKED_MS : STUCK_AFTER_MS
    const { firstDeadlineMs } = process
    if (firstDeadlineMs !== undefined && nowMs > firstDeadlineMs + graceMs)
      return { kind: 'kill', reason: 'a handler held its process past the deadline' }
    return { kind }
  }

  #heartbeat(process: HandlerProcess, nowMs: number): 'healthy' | 'pinged' | 'blocked' {
    const ping = this.#pings.get(process)
    if (ping !== undefined && process.lastMessageAtMs < ping.sentAtMs) return this.#unanswered(process, ping, nowMs)
    if (ping !== undefined) process.answeredPing(ping.lastStarted)
    if (nowMs - process.lastMessageAtMs <= PING_AFTER_MS) return 'healthy'
    const lastStarted = process.ping()
    this.#pings.set(process, { sentAtMs: nowMs, waitedMs: waitedForCpuMs(process.pid), lastStarted })
    return 'pinged'
  }

  #unanswered(process: HandlerProcess, { sentAtMs, waitedMs }: Ping, nowMs: number): 'pinged' | 'blocked' {
    const silentMs = nowMs - sentAtMs
    if (silentMs <= BLOCKED_AFTER_MS) return 'pinged'
    const ownMs = silentMs - (waitedForCpuMs(process.pid) - waitedMs)
    return ownMs > BLOCKED_OWN_MS ? 'blocked' : 'pinged'
  }
}

/** The pause between two passes: while a process does not answer, while attempts run, and while none does. */
const INTERVALS_MS = { alert: 50, busy: 100, idle: 1_000 } as const
/** How often a pass also checks the memory of all processes, and how often it checks all processes in full. */
const MEMORY_INTERVAL_MS = 1_000
const ALL_INTERVAL_MS = 5_000
/**
 * If a pass is later than this, the whole machine stood still: the pass checks nothing, because silence then says nothing about
 * a process.
 */
const MAX_LATE_MS = 2_000

/** What a pass checks beside the processes in which attempts run. */
export type WatchScope = 'work' | 'memory' | 'all'
export type Pace = keyof typeof INTERVALS_MS

/** Times the watchdog's passes: frequent while attempts run, rare while none does. */
export class WatchdogTimer {
  readonly #pass: (nowMs: number, scope: WatchScope) => Pace
  #timer: NodeJS.Timeout | undefined
  #isSoon = false
  #dueAtMs = 0
  #memoryAtMs = 0
  #allAtMs = 0

  /** `pass` returns how soon the next one is due. */
  constructor(pass: (nowMs: number, scope: WatchScope) => Pace) {
    this.#pass = pass
  }

  /** Says that an attempt waits or runs: the next pass comes soon. */
  soon(): void {
    if (!this.#isSoon) this.#set('busy')
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#isSoon = true
  }

  #set(pace: Pace): void {
    clearTimeout(this.#timer)
    this.#isSoon = pace !== 'idle'
    this.#dueAtMs = performance.now() + INTERVALS_MS[pace]
    this.#timer = setTimeout(() => this.#onTimer(), INTERVALS_MS[pace]).unref()
  }

  #onTimer(): void {
    const nowMs = performance.now()
    if (nowMs - this.#dueAtMs > MAX_LATE_MS) {
      this.#set('busy')
      return
    }
    this.#set(this.#pass(nowMs, this.#scopeAt(nowMs)))
  }

  #scopeAt(nowMs: number): WatchScope {
    if (nowMs - this.#allAtMs >= ALL_INTERVAL_MS) {
      this.#allAtMs = nowMs
      return 'all'
    }
    if (nowMs - this.#memoryAtMs < MEMORY_INTERVAL_MS) return 'work'
    this.#memoryAtMs = nowMs
    return 'memory'
  }
}
