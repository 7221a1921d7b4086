import { type HandlerProcess, UnloadableError } from './handler-process.ts'
import { residentMb, waitedForCpuMs } from './vitals.ts'

/** A process that has said nothing for so long is asked whether it is there. */
const ASK_AFTER_MS = 50
/** It is blocked if it has not answered for so long, of which it did not wait for a processor for so long. */
const BLOCKED_AFTER_MS = 200
const BLOCKED_OWN_MS = 120
/** Time past a deadline after which a process that has not even reported it is ended; of one that is known to be blocked. */
const STUCK_AFTER_MS = 1_000
const STUCK_WHEN_BLOCKED_MS = 150

interface Question {
  readonly askedAtMs: number
  readonly waitedMs: number
  /** What it had begun by then. */
  readonly begun: number
}

export interface Limits {
  readonly memoryMb: number
}

/** What a look at a process tells. */
export type Sign =
  | { readonly kind: 'well' }
  /** It was asked whether it is there, and has not answered yet. */
  | { readonly kind: 'asked' }
  /** It does not answer: whatever it is sent waits. */
  | { readonly kind: 'blocked' }
  | { readonly kind: 'to_end'; readonly fault: string }

/** Looks at processes from outside, which is all that can be done with one that is blocked. */
export class Watch {
  readonly #memoryMb: number
  readonly #questions = new WeakMap<HandlerProcess, Question>()

  constructor(memoryMb: number) {
    this.#memoryMb = memoryMb
  }

  /** Throws `UnloadableError` where processes are too large before they have done anything. */
  refuseTooLarge(processes: readonly HandlerProcess[]): void {
    const tookMb = Math.max(0, ...processes.map(({ pid }) => residentMb(pid) ?? 0))
    if (tookMb < this.#memoryMb) return
    throw new UnloadableError([
      `HANDLER_MEMORY_MB is ${this.#memoryMb}, and the handler modules alone take ${Math.ceil(tookMb)} MiB.`,
    ])
  }

  /** That it takes too much memory, in words; undefined if it does not. */
  outgrown(process: HandlerProcess): string | undefined {
    const memoryMb = residentMb(process.pid)
    return memoryMb !== undefined && memoryMb > this.#memoryMb
      ? `the handler process grew past ${this.#memoryMb} MiB`
      : undefined
  }

  look(process: HandlerProcess, nowMs: number): Sign {
    const fault = this.outgrown(process)
    if (fault !== undefined) return { kind: 'to_end', fault }
    const kind = this.#answers(process, nowMs)
    const graceMs = kind === 'blocked' ? STUCK_WHEN_BLOCKED_MS : STUCK_AFTER_MS
    if (process.first !== undefined && nowMs > process.first.untilMs + graceMs)
      return { kind: 'to_end', fault: 'a handler held its process past the deadline' }
    return { kind }
  }

  #answers(process: HandlerProcess, nowMs: number): 'well' | 'asked' | 'blocked' {
    const question = this.#questions.get(process)
    if (question !== undefined && process.heardAtMs < question.askedAtMs)
      return this.#isWaitedFor(process, question, nowMs)
    if (question !== undefined) process.passed(question.begun)
    if (nowMs - process.heardAtMs <= ASK_AFTER_MS) return 'well'
    const begun = process.ping()
    this.#questions.set(process, { askedAtMs: nowMs, waitedMs: waitedForCpuMs(process.pid), begun })
    return 'asked'
  }

  #isWaitedFor(process: HandlerProcess, { askedAtMs, waitedMs }: Question, nowMs: number): 'asked' | 'blocked' {
    const silentMs = nowMs - askedAtMs
    if (silentMs <= BLOCKED_AFTER_MS) return 'asked'
    const ownMs = silentMs - (waitedForCpuMs(process.pid) - waitedMs)
    return ownMs > BLOCKED_OWN_MS ? 'blocked' : 'asked'
  }
}
