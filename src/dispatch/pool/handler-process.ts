import { once } from 'node:events'
import { messageOf } from '../../domain/errors.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { encodeFrame, FrameDecoder } from '../ipc/framing.ts'
import { type FromProcess, isFromProcess, type ProcessData, type SentJob, type ToProcess } from '../ipc/messages.ts'
import { type InFlightAttempt, InFlightAttempts, type PoolAttempt } from './attempts.ts'
import { type ProcessExit, SERVICE_STOPPED } from './crash-attribution.ts'
import { setLowestPriority } from './memory-and-cpu.ts'
import { crashStack, endOfStream, exitReason, ProcessOutput } from './process-output.ts'
import { killGroup, killTree } from './process-tree.ts'
import { type SpawnedProcess, spawnProcess } from './spawn.ts'

/** Time for all handler modules to load. */
const LOAD_TIMEOUT_MS = 30_000
/** How long a process may write out its log when the service stops. */
const STOP_GRACE_MS = 100
/** The longest time between the end of a process's connection and its own exit; then it is killed. */
const EXIT_AFTER_DISCONNECT_MS = 1_000
/** The largest message from a process: its results, whose errors are bounded. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024

interface ProcessOptions {
  readonly data: ProcessData
  /** The id of the process tree. */
  readonly treeId: string
  readonly memoryMb: number
  readonly environment: NodeJS.ProcessEnv
  readonly isUrgent: boolean
  /** Whether these are the handlers that the service knows. */
  readonly isExpected: (handlers: readonly HandlerDefinition[]) => boolean
  /** The process has answered attempts. `refused`: the attempts that it did not start because the service had revoked them. */
  readonly onResults: (refused: readonly PoolAttempt[]) => void
  readonly onExit: (exit: ProcessExit) => void
  readonly onLines: (lines: readonly string[], dropped: number) => void
  readonly onDropped: (lines: number) => void
}

/** The handler modules cannot be loaded, or the process ended while it loaded them. */
export class UnloadableError extends Error {
  override readonly name = 'UnloadableError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(faults.join('; '))
    this.faults = faults
  }
}

/** A handler process, as the service sees it: sends attempts to it, resolves them, kills it. Never starts it again. */
export class HandlerProcess {
  /** Resolves with the handlers that the modules registered; rejects with `UnloadableError`. */
  readonly ready: Promise<readonly HandlerDefinition[]>
  /** Resolves when the process and all programs that it had started have ended. */
  readonly gone: Promise<void>
  /** 0 if the process could not be started. */
  readonly pid: number
  isReady = false
  /** The process has the lowest priority, which cannot be undone. */
  isDeprioritized = false
  /** The number of attempts that the process has answered. */
  answered = 0
  /** When its last message arrived, by the monotonic clock. */
  lastMessageAtMs = performance.now()

  readonly #options: ProcessOptions
  readonly #spawned: SpawnedProcess
  readonly #outputs: readonly ProcessOutput[]
  readonly #attempts: InFlightAttempts
  readonly #registered = Promise.withResolvers<readonly HandlerDefinition[]>()
  #outbox: SentJob[] = []
  #bodies: Uint8Array[] = []
  #overdue = 0
  /** The module that the process loads now. */
  #loading: string
  #exitReason: string | undefined
  /** The service killed the process for an invalid message, which any attempt that ever started in it may have written. */
  #sentInvalid = false
  #stack: readonly string[] = []
  #isBlocked = false
  #isEnding = false
  #isGone = false

  constructor(options: ProcessOptions) {
    const { data, isUrgent, onLines } = options
    this.#options = options
    this.#loading = data.handlersDir
    this.ready = this.#registered.promise
    this.ready.catch(() => {})
    this.#spawned = spawnProcess(options)
    this.#attempts = new InFlightAttempts(this.#spawned.progress)
    const { child, jobs, answers, outputs } = this.#spawned
    this.pid = child.pid ?? 0
    this.#outputs = outputs.map((stream) => new ProcessOutput(stream, onLines))
    this.gone = this.#untilGone()
    const decoder = new FrameDecoder((message) => this.#receive(message), MAX_MESSAGE_BYTES)
    answers.on('data', (chunk: Buffer) => this.#read(decoder, chunk))
    answers.on('end', () => this.#disconnected())
    for (const stream of [jobs, answers]) stream.on('error', () => {})
    this.#send({ kind: 'load', isUrgent, ...data })
    const slow = setTimeout(() => this.kill(`it did not load within ${LOAD_TIMEOUT_MS} ms`), LOAD_TIMEOUT_MS)
    void this.ready.finally(() => clearTimeout(slow)).catch(() => {})
  }

  /** The process does not answer or is about to end: the service sends it no attempts. */
  get isBlocked(): boolean {
    return this.#isBlocked || this.#isEnding
  }

  /** The attempts that it has not answered, and the handlers in it that are past their deadlines. */
  get load(): number {
    return this.#attempts.size + this.#overdue
  }

  /** Handlers past their deadlines that have not returned. */
  get overdue(): number {
    return this.#overdue
  }

  /** The attempt that was sent first. */
  get first(): InFlightAttempt | undefined {
    return this.#attempts.first
  }

  /** The first deadline of its attempts, by the monotonic clock; undefined if it has none. */
  get firstDeadlineMs(): number | undefined {
    return this.#attempts.firstDeadlineMs
  }

  get isIdle(): boolean {
    return this.#attempts.size === 0
  }

  /** Whether the process has an unanswered attempt of this handler. */
  runs = (handler: string): boolean => this.#attempts.has(handler)

  run(attempt: PoolAttempt): void {
    const { timeoutMs } = attempt
    const [sentAtMs, nowMs] = [Date.now(), performance.now()]
    const deadlineAtMs = sentAtMs + timeoutMs
    const key = this.#attempts.add({ attempt, sentAtMs, sinceMs: nowMs, untilMs: nowMs + timeoutMs })
    const { body, deliveryId: _, lease: __, ...work } = attempt.work
    if (this.#outbox.length === 0) setImmediate(() => this.#sendJobs())
    this.#outbox.push({ key, work, bodyBytes: body.length, deadlineAtMs })
    this.#bodies.push(body)
  }

  /** Pings the process. Returns the key of the attempt that started last; `answeredPing` takes it after the answer. */
  ping(): number {
    this.#send({ kind: 'ping' })
    return this.#attempts.lastStarted()
  }

  /** Says that the process has answered a ping since it started the attempt with this key. */
  answeredPing(lastStarted: number): void {
    this.#attempts.clear(lastStarted)
  }

  /** The service stops: aborts the signals of all handlers. */
  abortAll(): void {
    this.#send({ kind: 'abort' })
  }

  /** The attempt that most likely blocks the process. */
  suspect(): InFlightAttempt | undefined {
    return this.#attempts.suspect()
  }

  /** Marks the process as blocked. Returns the attempts that have not started; the process will not start them. */
  revoke(): readonly PoolAttempt[] {
    if (this.isBlocked) return []
    this.#isBlocked = true
    return this.#attempts.revoke()
  }

  /** Marks the process as no longer blocked: it starts the attempts that it is sent from now on. */
  restore(): void {
    this.#isBlocked = false
    this.#attempts.restore()
  }

  /** Ends the process, which may write out its log first. Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#exitReason ??= SERVICE_STOPPED
    this.#send({ kind: 'stop' })
    const late = setTimeout(() => this.kill(SERVICE_STOPPED), STOP_GRACE_MS)
    await this.gone
    clearTimeout(late)
  }

  /** Gives the process the lowest priority: all other processes get the processor first. */
  deprioritize(): void {
    if (!this.isDeprioritized) setLowestPriority(this.pid)
    this.isDeprioritized = true
  }

  /** Kills the process. Its attempts are lost for this reason, unless an earlier reason is known. */
  kill(reason: string): void {
    if (this.#isGone) return
    this.#isEnding = true
    this.#exitReason ??= reason
    this.#spawned.child.kill('SIGKILL')
  }

  /** Most likely the process has ended, and its `exit` follows at once. */
  #disconnected(): void {
    setTimeout(
      () => this.kill('the handler process closed its connection to the service'),
      EXIT_AFTER_DISCONNECT_MS,
    ).unref()
  }

  #read(decoder: FrameDecoder, chunk: Buffer): void {
    this.lastMessageAtMs = performance.now()
    try {
      decoder.push(chunk)
    } catch (error) {
      this.#killForInvalid(`: ${messageOf(error)}`)
    }
  }

  #killForInvalid(why = ''): void {
    this.#sentInvalid = true
    this.kill(`the handler process sent an invalid message${why}`)
  }

  #receive(message: unknown): void {
    if (!isFromProcess(message)) this.#killForInvalid()
    else if (message.kind === 'results') this.#receiveResults(message)
    else if (message.kind === 'loading') this.#loading = message.file
    else if (message.kind === 'dropped') this.#options.onDropped(message.lines)
    else if (message.kind === 'ready') this.#loaded(message.handlers)
    else if (message.kind === 'unloadable') {
      this.#registered.reject(new UnloadableError(message.faults))
      this.kill(`its modules cannot be loaded: ${message.faults.join('; ')}`)
    }
  }

  /** If the modules have changed since the service started, this process could lack the handler of a delivery. */
  #loaded(handlers: readonly HandlerDefinition[]): void {
    if (!this.#options.isExpected(handlers)) {
      this.kill('its modules register other handlers than when the service started: restart the service')
      return
    }
    this.isReady = true
    this.#registered.resolve(handlers)
  }

  #receiveResults({ results, refused, overdue }: Extract<FromProcess, { kind: 'results' }>): void {
    this.#overdue = overdue
    this.answered += results.length
    for (const { key, result } of results) this.#attempts.take(key)?.attempt.resolve(result)
    this.#options.onResults(refused.flatMap((key) => this.#attempts.take(key)?.attempt ?? []))
  }

  #send(message: ToProcess, tail: readonly Uint8Array[] = []): void {
    const { jobs } = this.#spawned
    if (!jobs.writable) return
    jobs.cork()
    for (const part of encodeFrame(message, tail)) jobs.write(part)
    jobs.uncork()
  }

  /** Sends all attempts of one turn of the event loop in one message. */
  #sendJobs(): void {
    const [jobs, bodies] = [this.#outbox, this.#bodies]
    this.#outbox = []
    this.#bodies = []
    this.#send({ kind: 'jobs', jobs }, bodies)
  }

  async #untilGone(): Promise<void> {
    const { child, jobs, answers } = this.#spawned
    try {
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
      this.#isEnding = true
      if (child.pid !== undefined) killGroup(child.pid)
      jobs.destroy()
      await Promise.all([endOfStream(answers), ...this.#outputs.map((output) => output.drain())])
      const output = this.#outputs.map((each) => each.kept()).join('\n')
      this.#stack = crashStack(output)
      this.#exitReason ??= exitReason(code, signal, output)
    } catch (error) {
      this.#exitReason ??= `the handler process could not be started: ${messageOf(error)}`
    }
    this.#isGone = true
    const [frame] = this.#stack
    const where = frame === undefined ? '' : ` (${frame})`
    this.#registered.reject(new UnloadableError([`handler module ${this.#loading}: ${this.#exitReason}${where}`]))
    const { suspect, ...attempts } = this.#attempts.close()
    this.#options.onExit({
      reason: this.#exitReason,
      stack: this.#stack,
      overdue: this.#overdue,
      answered: this.answered,
      ...attempts,
      suspect: this.#sentInvalid ? undefined : suspect,
    })
    if (child.pid !== undefined) await killTree(this.#options.treeId)
  }
}
