import { once } from 'node:events'
import { messageOf } from '../../domain/errors.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { FrameReader, frameOf } from '../frames.ts'
import type { FromProcess, ProcessData, SentJob, ToProcess } from '../protocol.ts'
import { endFamily, endGroup } from './family.ts'
import { faultOf, framesIn } from './fault.ts'
import { Jobs } from './jobs.ts'
import { RawOutput, untilEnd } from './raw-output.ts'
import type { InFlight, Loss, Run } from './run.ts'
import { type SpawnedProcess, spawnProcess } from './spawn.ts'
import { isFromProcess } from './trusted.ts'
import { yieldCpu } from './vitals.ts'

/** Time for all handler modules to load. */
const LOAD_TIMEOUT_MS = 30_000
/** Time that a process has for its last words when the service stops. */
const STOP_PATIENCE_MS = 100
/** Between the end of what a process says and its own: past it, it lives on without a word. */
const MAX_SILENCE_MS = 1_000
/** Bytes of one message from a process: results, whose errors are bounded. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024

export interface ProcessOptions {
  readonly data: ProcessData
  readonly family: string
  readonly memoryMb: number
  readonly environment: NodeJS.ProcessEnv
  readonly isHurried: boolean
  /** Whether these are the handlers that the service knows. */
  readonly isExpected: (handlers: readonly HandlerDefinition[]) => boolean
  /** Some attempts were answered; these were taken back, and did not begin. */
  readonly onResults: (refused: readonly Run[]) => void
  readonly onGone: (loss: Loss) => void
  readonly onLines: (lines: readonly string[], dropped: number) => void
  readonly onDropped: (lines: number) => void
}

/** The modules cannot be loaded, or the process ended while it loaded them. */
export class UnloadableError extends Error {
  override readonly name = 'UnloadableError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(faults.join('; '))
    this.faults = faults
  }
}

/** One process of user code, seen from outside. Ends for good; the pool starts another. */
export class HandlerProcess {
  /** Resolves with what the modules registered; rejects with `UnloadableError`. */
  readonly ready: Promise<readonly HandlerDefinition[]>
  /** Resolves when it is gone, and all that it had started with it. */
  readonly gone: Promise<void>
  /** 0 if it could not be started. */
  readonly pid: number
  isReady = false
  /** It was put behind all others, which cannot be undone. */
  isBehind = false
  /** Attempts that it has answered. */
  answered = 0
  /** When it last gave a sign of life. */
  heardAtMs = performance.now()

  readonly #options: ProcessOptions
  readonly #spawned: SpawnedProcess
  readonly #outputs: readonly RawOutput[]
  readonly #jobs: Jobs
  readonly #isLoaded = Promise.withResolvers<readonly HandlerDefinition[]>()
  #outbox: SentJob[] = []
  #bodies: Uint8Array[] = []
  #overdue = 0
  #loading: string
  #fault: string | undefined
  /** It was ended for what it sent: any attempt that ever began in it may have written that. */
  #isGarbled = false
  #stack: readonly string[] = []
  #isBlocked = false
  #isEnding = false
  #isGone = false

  constructor(options: ProcessOptions) {
    const { data, isHurried, onLines } = options
    this.#options = options
    this.#loading = data.handlersDir
    this.ready = this.#isLoaded.promise
    this.ready.catch(() => {})
    this.#spawned = spawnProcess(options)
    this.#jobs = new Jobs(this.#spawned.progress)
    const { child, jobs, answers, outputs } = this.#spawned
    this.pid = child.pid ?? 0
    this.#outputs = outputs.map((stream) => new RawOutput(stream, onLines))
    this.gone = this.#ended()
    const reader = new FrameReader((message) => this.#hear(message), MAX_MESSAGE_BYTES)
    answers.on('data', (chunk: Buffer) => this.#read(reader, chunk))
    answers.on('end', () => this.#isSilent())
    for (const stream of [jobs, answers]) stream.on('error', () => {})
    this.#send({ kind: 'load', isHurried, ...data })
    const slow = setTimeout(() => this.end(`it did not load within ${LOAD_TIMEOUT_MS} ms`), LOAD_TIMEOUT_MS)
    void this.ready.finally(() => clearTimeout(slow)).catch(() => {})
  }

  /** It does not answer or comes to its end, and is sent nothing. */
  get isBlocked(): boolean {
    return this.#isBlocked || this.#isEnding
  }

  /** Attempts in it, and handlers that have outlived theirs. */
  get load(): number {
    return this.#jobs.size + this.#overdue
  }

  get overdue(): number {
    return this.#overdue
  }

  /** The attempt whose deadline is the next. */
  get first(): InFlight | undefined {
    return this.#jobs.first
  }

  get isIdle(): boolean {
    return this.#jobs.size === 0
  }

  /** Whether an attempt of this handler is in it. */
  runs = (handler: string): boolean => this.#jobs.has(handler)

  run(run: Run, timeoutMs: number): void {
    const [sentAtMs, nowMs] = [Date.now(), performance.now()]
    const deadlineAtMs = sentAtMs + timeoutMs
    const key = this.#jobs.add({ run, sentAtMs, sinceMs: nowMs, untilMs: nowMs + timeoutMs })
    const { body, deliveryId: _, lease: __, ...work } = run.work
    if (this.#outbox.length === 0) setImmediate(() => this.#post())
    this.#outbox.push({ key, work, bodyBytes: body.length, deadlineAtMs })
    this.#bodies.push(body)
  }

  /** Asks whether it is there. Gives what it has begun by then, to be told to `passed` when it has answered. */
  ping(): number {
    this.#send({ kind: 'ping' })
    return this.#jobs.lastKey()
  }

  passed(key: number): void {
    this.#jobs.passed(key)
  }

  abortAll(): void {
    this.#send({ kind: 'abort' })
  }

  /** What most likely blocks it. */
  suspect(): InFlight | undefined {
    return this.#jobs.suspect()
  }

  /** Takes back the attempts that have not begun; it will not begin them any more. */
  revoke(): readonly Run[] {
    if (this.isBlocked) return []
    this.#isBlocked = true
    return this.#jobs.revoke()
  }

  /** It may begin what it is sent from now on. */
  restore(): void {
    this.#isBlocked = false
    this.#jobs.restore()
  }

  /** Lets it write out its log, if it can, and ends it. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#fault ??= 'the service stopped'
    this.#send({ kind: 'stop' })
    const late = setTimeout(() => this.end('the service stopped'), STOP_PATIENCE_MS)
    await this.gone
    clearTimeout(late)
  }

  /** Others have the processor first. */
  yieldCpu(): void {
    if (!this.isBehind) yieldCpu(this.pid)
    this.isBehind = true
  }

  end(fault: string): void {
    if (this.#isGone) return
    this.#isEnding = true
    this.#fault ??= fault
    this.#spawned.child.kill('SIGKILL')
  }

  /** It has ended, most likely, and how it did is known in a moment. */
  #isSilent(): void {
    setTimeout(() => this.end('the handler process closed its connection to the service'), MAX_SILENCE_MS).unref()
  }

  #read(reader: FrameReader, chunk: Buffer): void {
    this.heardAtMs = performance.now()
    try {
      reader.push(chunk)
    } catch (error) {
      this.#refuse(`: ${messageOf(error)}`)
    }
  }

  #refuse(why = ''): void {
    this.#isGarbled = true
    this.end(`the handler process sent what is no answer${why}`)
  }

  #hear(message: unknown): void {
    if (!isFromProcess(message)) this.#refuse()
    else if (message.kind === 'results') this.#answer(message)
    else if (message.kind === 'loading') this.#loading = message.file
    else if (message.kind === 'dropped') this.#options.onDropped(message.lines)
    else if (message.kind === 'ready') this.#isUp(message.handlers)
    else if (message.kind === 'unloadable') {
      this.#isLoaded.reject(new UnloadableError(message.faults))
      this.end(`its modules cannot be loaded: ${message.faults.join('; ')}`)
    }
  }

  /** Modules that have changed since the service started would leave deliveries without their handler. */
  #isUp(handlers: readonly HandlerDefinition[]): void {
    if (!this.#options.isExpected(handlers)) {
      this.end('its modules register other handlers than when the service started: restart it')
      return
    }
    this.isReady = true
    this.#isLoaded.resolve(handlers)
  }

  #answer({ results, refused, overdue }: Extract<FromProcess, { kind: 'results' }>): void {
    this.#overdue = overdue
    this.answered += results.length
    for (const { key, result } of results) this.#jobs.take(key)?.run.resolve(result)
    this.#options.onResults(refused.flatMap((key) => this.#jobs.take(key)?.run ?? []))
  }

  #send(message: ToProcess, tail: readonly Uint8Array[] = []): void {
    const { jobs } = this.#spawned
    if (!jobs.writable) return
    jobs.cork()
    for (const part of frameOf(message, tail)) jobs.write(part)
    jobs.uncork()
  }

  /** One message for all attempts of one turn of the loop. */
  #post(): void {
    const [jobs, bodies] = [this.#outbox, this.#bodies]
    this.#outbox = []
    this.#bodies = []
    this.#send({ kind: 'jobs', jobs }, bodies)
  }

  async #ended(): Promise<void> {
    const { child, jobs, answers } = this.#spawned
    try {
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
      this.#isEnding = true
      if (child.pid !== undefined) endGroup(child.pid)
      jobs.destroy()
      await Promise.all([untilEnd(answers), ...this.#outputs.map((output) => output.drain())])
      const lastWords = this.#outputs.map((output) => output.kept()).join('\n')
      this.#stack = framesIn(lastWords)
      this.#fault ??= faultOf(code, signal, lastWords)
    } catch (error) {
      this.#fault ??= `the handler process could not be started: ${messageOf(error)}`
    }
    this.#isGone = true
    this.#isLoaded.reject(new UnloadableError([`handler module ${this.#loading}: ${this.#fault}`]))
    const { suspect, ...held } = this.#jobs.close()
    this.#options.onGone({
      fault: this.#fault,
      stack: this.#stack,
      overdue: this.#overdue,
      answered: this.answered,
      ...held,
      suspect: this.#isGarbled ? undefined : suspect,
    })
    if (child.pid !== undefined) await endFamily(this.#options.family)
  }
}
