import { messageOf } from '../domain/errors.ts'
import { commonPaths } from '../domain/payload-index.ts'
import type { LastReload, ReloadResult } from '../domain/reload.ts'
import type { ReadConfig } from './config.ts'
import { closeParts, type PrepareOptions, type ServiceParts } from './prepare.ts'
import { changesBetween } from './reload-changes.ts'
import { type Generation, type Service, wireGeneration } from './wiring.ts'

/** How much longer modules may load once another reload waits: they may never finish, and may have been repaired meanwhile. */
const SUPERSEDED_MS = 1_000
/** How many old generations may still finish their work. A further reload ends the oldest as the stop of the service would. */
const MAX_OLD = 4
/** How long the aborted handlers of such a generation get to return. */
const ABORT_MS = 1_000

const STOPPED: ReloadResult = { ok: false, faults: ['the service is stopping'], isStopping: true }

export interface ReloaderOptions {
  readonly service: Service
  readonly first: ServiceParts
  readonly prepare: (read: ReadConfig, options: PrepareOptions) => Promise<ServiceParts>
}

/** A reload that has not begun, for all who have asked for it. */
interface WaitingReload {
  read: ReadConfig | undefined
  readonly result: Promise<ReloadResult>
}

/** A generation, and how many calls of `use` it has that have not ended. */
interface OpenGeneration {
  readonly generation: Generation
  calls: number
  onNoCalls: () => void
}

/**
 * Holds the generation that is in use, and replaces it by one with freshly loaded modules. The store, the listeners, the metrics and
 * the callers that wait for tasks stay.
 *
 * ```
 *   modules load ── a fault ──→ closed: nothing has changed
 *        │
 *        │ no fault
 *        ↓
 *      in use ── the next reload ──→ old: takes nothing new, and finishes what runs ──→ closed
 * ```
 */
export class Reloader {
  readonly #options: Pick<ReloaderOptions, 'service' | 'prepare'>
  #inUse: OpenGeneration
  readonly #old = new Set<OpenGeneration>()
  #running: { readonly done: Promise<unknown>; readonly supersede: () => void } | undefined
  #waiting: WaitingReload | undefined
  readonly #stopping = new AbortController()
  #last: LastReload

  constructor({ first, ...options }: ReloaderOptions) {
    this.#options = options
    this.#last = { ok: true, succeededAtMs: options.service.clock() }
    this.#inUse = this.#open(first)
  }

  get current(): Generation {
    return this.#inUse.generation
  }

  get last(): LastReload {
    return this.#last
  }

  /** Calls the generation in use, which is not closed before the call has ended. */
  async use<Result>(call: (generation: Generation) => Promise<Result>): Promise<Result> {
    const used = this.#inUse
    used.calls++
    try {
      return await call(used.generation)
    } finally {
      if (--used.calls === 0) used.onNoCalls()
    }
  }

  /** Starts the work of the generation in use. */
  start(): void {
    if (!this.#options.service.isWorker) return
    this.current.dispatcher.wake()
    this.current.tasks.poller.start()
  }

  /**
   * Loads all modules again, with the configuration `read` if it is given. If there is no fault, the new generation is in use when
   * this resolves; otherwise nothing has changed. One reload runs at a time: all that are asked for meanwhile are one reload, which
   * runs after it. Never rejects.
   */
  reload(read?: ReadConfig): Promise<ReloadResult> {
    if (this.#waiting !== undefined) {
      this.#waiting.read = read ?? this.#waiting.read
      return this.#waiting.result
    }
    this.#running?.supersede()
    const before = this.#running?.done ?? Promise.resolve()
    const waiting: WaitingReload = { read, result: before.then(() => this.#run(waiting)) }
    this.#waiting = waiting
    return waiting.result
  }

  /** Breaks off a reload, and stops all generations as `Dispatcher.stop` says. Later reloads change nothing. */
  async stop(graceMs: number, abortMs: number): Promise<void> {
    this.#stopping.abort()
    const stop = async ({ generation: { dispatcher, tasks, connected } }: OpenGeneration): Promise<void> => {
      await Promise.all([tasks.poller.stop().then(connected.close), dispatcher.stop(graceMs, abortMs)])
    }
    await Promise.all([this.#running?.done, ...[this.#inUse, ...this.#old].map(stop)])
  }

  /** Ends all threads of modules: after `stop`, when no request is open. */
  async close(): Promise<void> {
    await Promise.all([this.#inUse, ...this.#old].map(closeReaders))
  }

  #run(waiting: WaitingReload): Promise<ReloadResult> {
    this.#waiting = undefined
    const superseded = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const supersede = (): void => {
      timer ??= setTimeout(() => superseded.abort(), SUPERSEDED_MS)
    }
    const signal = AbortSignal.any([this.#stopping.signal, superseded.signal])
    const done = this.#reload(waiting.read, signal)
      .catch((error: unknown): ReloadResult => ({ ok: false, faults: [messageOf(error)] }))
      .then((result) => this.#noted(result))
      .finally(() => {
        clearTimeout(timer)
        this.#running = undefined
      })
    this.#running = { done, supersede }
    return done.then((result) => (superseded.signal.aborted && !result.ok ? (this.#waiting?.result ?? result) : result))
  }

  async #reload(given: ReadConfig | undefined, signal: AbortSignal): Promise<ReloadResult> {
    if (this.#stopping.signal.aborted) return STOPPED
    const startedMs = performance.now()
    const { parts: before } = this.current
    const read = given ?? { ...before, faults: [], warnings: [] }
    const parts = await this.#options.prepare(read, { wait: 'first', signal })
    const isSound = parts.faults.length === 0
    const faults = isSound ? await this.#route(parts) : [...new Set(parts.faults)]
    if (faults.length > 0 || this.#stopping.signal.aborted) {
      await closeParts(parts)
      if (this.#stopping.signal.aborted) return STOPPED
      return { ok: false, faults, ...(isSound && { isAway: true as const }) }
    }
    const next = this.#open(parts)
    await this.#keepPaths(next)
    this.#replace(next)
    if (parts.config.logLevel !== before.config.logLevel) this.#options.service.log.level = parts.config.logLevel
    for (const warning of parts.warnings)
      if (!before.warnings.includes(warning)) this.#options.service.log.warn(warning)
    const durationMs = performance.now() - startedMs
    return { ok: true, handlers: parts.handlers.length, changes: changesBetween(before, parts), durationMs }
  }

  #noted(result: ReloadResult): ReloadResult {
    const nowMs = this.#options.service.clock()
    if (result.ok) this.#last = { ok: true, succeededAtMs: nowMs, changes: result.changes }
    else if (result.isAway === true) this.#last = { ...this.#last, ok: false, awayAtMs: nowMs }
    else if (result.isStopping !== true)
      this.#last = {
        ...this.#last,
        ok: false,
        awayAtMs: undefined,
        refused: { faults: result.faults, sinceMs: this.#last.refused?.sinceMs ?? nowMs },
      }
    return result
  }

  /** Routes events to the new handlers, which the next step starts. Returns why that is not possible. */
  async #route({ handlers, route }: ServiceParts): Promise<readonly string[]> {
    try {
      await this.#options.service.routed.replaceOwn(handlers, route)
      return []
    } catch (error) {
      return [`the database, which knows the handlers of all replicas, is away: ${messageOf(error)}`]
    }
  }

  #open(parts: ServiceParts): OpenGeneration {
    return { generation: wireGeneration(this.#options.service, parts), calls: 0, onNoCalls: () => {} }
  }

  #replace(next: OpenGeneration): void {
    const old = this.#inUse
    this.#inUse = next
    this.#old.add(old)
    void this.#retire(old).finally(() => {
      this.#old.delete(old)
      void this.#keepPaths()
    })
    this.start()
    const [oldest] = this.#old
    if (this.#old.size > MAX_OLD) void oldest?.generation.dispatcher.stop(0, ABORT_MS)
  }

  /** Indexes the values at the paths that all open generations take from payloads, `next` too. */
  async #keepPaths(next?: OpenGeneration): Promise<void> {
    const open = [next ?? [], this.#inUse, ...this.#old].flat()
    const { store, log } = this.#options.service
    const paths = commonPaths(open.map(({ generation }) => generation.parts.config.sources))
    await store.payloadIndex.keepPaths(paths).catch((error: unknown) => {
      if (!this.#stopping.signal.aborted)
        log.warn({ error: messageOf(error) }, 'the paths of SOURCE_<NAME>_KEYS could not be changed: reload once more')
    })
  }

  /** Lets a generation finish its work, and closes it. */
  async #retire(old: OpenGeneration): Promise<void> {
    const { dispatcher, tasks, connected } = old.generation
    await Promise.all([dispatcher.handOver(this.current.dispatcher), tasks.poller.finish(), noCalls(old)])
    await Promise.all([connected.close(), closeReaders(old)])
  }
}

const noCalls = (open: OpenGeneration): Promise<void> =>
  new Promise((resolve) => {
    open.onNoCalls = resolve
    if (open.calls === 0) resolve()
  })

const closeReaders = ({ generation: { parts, pipeline } }: OpenGeneration): Promise<unknown> =>
  Promise.all([parts.readers.close(), pipeline.reader.close()])
