import type { Logger } from 'pino'
import type { Settlement, Work } from '../domain/delivery.ts'
import { messageOf } from '../domain/errors.ts'
import {
  HELD_MS,
  type NewPause,
  type Pause,
  type PausedKind,
  type PauseService,
  type PauseStore,
} from '../domain/pause.ts'

/** How often a process that shares its store reads what is paused: others may have paused it. While there are none, it does so with each sweep. */
const REFRESH_MS = 500
/** How often it looks for held deliveries of sources that were resumed: another process may have held them at that very moment. */
const SWEEP_MS = 5_000
/** Wait before a release that the store refused is tried again. */
const RETRY_MS = 1_000
/** Deliveries that one commit releases, and the pause after it. */
const RELEASE_BATCH = 500
const BETWEEN_MS = 10

interface PausesOptions {
  readonly store: PauseStore
  /** Other processes may use the store too. */
  readonly isShared: boolean
  /** Whether there are other processes now. */
  readonly hasOthers: () => boolean
  /** Called after a change of what is paused, and after held deliveries became due. */
  readonly onChange: () => void
  readonly log: Logger
}

/** What this process knows of pauses. */
export class Pauses implements PauseService {
  readonly #options: PausesOptions
  #list: readonly Pause[] = []
  #handlers: ReadonlySet<string> = new Set()
  #sources: ReadonlySet<string> = new Set()
  #isDraining = false
  #isStopped = false
  #isFailing = false
  #timer: NodeJS.Timeout | undefined
  #sweptAtMs = Number.NEGATIVE_INFINITY
  #passing: Promise<void> | undefined

  constructor(options: PausesOptions) {
    this.#options = options
  }

  /** Reads what is paused, and from then on again and again if others may change it. Rejects if the store cannot be read. */
  async start(): Promise<void> {
    this.#follow(await this.#options.store.list(), () => {})
    this.#schedule(0)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#passing
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  list = (): readonly Pause[] => this.#list
  find = (kind: PausedKind, name: string): Pause | undefined =>
    this.#list.find((pause) => pause.kind === kind && pause.name === name)

  isHandlerPaused = (name: string): boolean => this.#handlers.has(name)
  isSourcePaused = (name: string): boolean => this.#sources.has(name)

  /** Whether the delivery must not start in this process now. */
  keepsBack = ({ handler, event }: Work): boolean =>
    this.#isDraining || this.#handlers.has(handler) || this.#sources.has(event.source)

  async pause(pause: NewPause): Promise<Pause> {
    const paused = await this.#options.store.pause(pause)
    this.#follow(await this.#options.store.list())
    return paused
  }

  async resume(kind: PausedKind, name: string): Promise<Pause | undefined> {
    const resumed = await this.#options.store.resume(kind, name)
    this.#follow(await this.#options.store.list())
    this.#sweptAtMs = Number.NEGATIVE_INFINITY
    this.#schedule(0)
    return resumed
  }

  drain(on: boolean): void {
    if (on === this.#isDraining) return
    this.#isDraining = on
    this.#options.log.warn(on ? 'this process drains: it claims no more work' : 'this process claims work again')
    this.#options.onChange()
  }

  #follow(list: readonly Pause[], onChange = this.#options.onChange): void {
    const before = this.#list
    this.#list = list
    const isIn = (all: readonly Pause[]) => (one: Pause) =>
      all.some(({ kind, name }) => kind === one.kind && name === one.name)
    const added = list.filter((each) => !isIn(before)(each))
    const removed = before.filter((each) => !isIn(list)(each))
    if (added.length === 0 && removed.length === 0) return
    const namesOf = (kind: PausedKind) => new Set(list.filter((each) => each.kind === kind).map(({ name }) => name))
    this.#handlers = namesOf('handler')
    this.#sources = namesOf('source')
    const { log } = this.#options
    for (const { kind, name, by, reason } of added)
      log.warn({ [kind]: name, by, reason }, `${kind} paused: its deliveries wait`)
    for (const { kind, name } of removed) log.info({ [kind]: name }, `${kind} resumed`)
    if (removed.length > 0) this.#sweptAtMs = Number.NEGATIVE_INFINITY
    onChange()
  }

  #schedule(inMs: number): void {
    if (this.#isStopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#passing ??= this.#pass().finally(() => {
        this.#passing = undefined
      })
    }, inMs).unref()
  }

  async #pass(): Promise<void> {
    const { store, isShared, hasOthers, log } = this.#options
    let isDone = false
    try {
      const sweeps = performance.now() - this.#sweptAtMs >= SWEEP_MS
      if (isShared && (sweeps || this.#isFailing || hasOthers())) this.#follow(await store.list())
      if (performance.now() - this.#sweptAtMs >= SWEEP_MS) await this.#release()
      isDone = true
      if (this.#isFailing) log.info('what is paused can be read again')
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing && !this.#isStopped) log.warn({ error: messageOf(error) }, 'what is paused cannot be read')
      this.#isFailing = true
    }
    if (isShared) this.#schedule(REFRESH_MS)
    else if (!isDone) this.#schedule(RETRY_MS)
    // A source was resumed meanwhile.
    else if (this.#sweptAtMs === Number.NEGATIVE_INFINITY) this.#schedule(0)
  }

  async #release(): Promise<void> {
    const { store, onChange } = this.#options
    this.#sweptAtMs = performance.now()
    while (!this.#isStopped && (await store.releaseHeld(RELEASE_BATCH)) > 0) {
      onChange()
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
    }
  }
}

/** What the dispatcher asks. */
export type PauseView = Pick<Pauses, 'isDraining' | 'isHandlerPaused' | 'isSourcePaused' | 'keepsBack'>

export const NO_PAUSES: PauseView = {
  isDraining: false,
  isHandlerPaused: () => false,
  isSourcePaused: () => false,
  keepsBack: () => false,
}

/** The settlement of a claimed delivery whose source is paused. */
export const heldSettlement = ({ deliveryId, lease, event, ordered }: Work, nowMs: number): Settlement => ({
  deliveryId,
  lease,
  verdict: 'held',
  heldFor: event.source,
  outcome: 'released',
  isolate: false,
  dueAtMs: nowMs + HELD_MS,
  startedAtMs: nowMs,
  durationMs: 0,
  ...(ordered && { ordered }),
})
