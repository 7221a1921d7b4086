import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { DriftEntry, DriftStore } from '../domain/drift-store.ts'
import { messageOf } from '../domain/errors.ts'
import type { NewEvent } from '../domain/event.ts'
import { parseJson } from '../domain/json.ts'
import { MAX_INLINE_BYTES } from '../domain/limits.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import { type Outline, outlineOf } from './outline.ts'
import { Shape } from './shape.ts'

/** The share of the main thread's time that this may take, how long one turn may take, and how long it is to the next one at least. */
const CPU_SHARE = 0.01
const TURN_MS = 2
const PAUSE_MS = 50
/** Where events are few, those of this time are looked at together: a turn for each would cost more than the looks do. */
const GATHER_MS = 1_000
/** Events that wait to be looked at: of all types, and of one; and their bytes. Others are not looked at. */
const MAX_WAITING = 256
const MAX_WAITING_OF_TYPE = 64
const MAX_WAITING_BYTES = 4_194_304
/** Types that are watched: of all sources, and of one; and the paths of all their shapes that are in memory. */
const MAX_TYPES = 500
const MAX_TYPES_OF_SOURCE = 200
const MAX_PATHS_IN_MEMORY = 50_000
/** A shape that has learned something is saved after this time, or soon if it has changed. */
const SAVE_MS = 30_000
const SAVE_SOON_MS = 500
/** A shape that no event has come for is dropped from memory. */
const IDLE_MS = 600_000
/** Outlines since the last save, which are looked at again if another process has saved meanwhile; the older ones are left out. */
const MAX_UNSAVED = 64
/** Shapes that are saved at the same time, and when the service stops. */
const MAX_SAVING = 8
const MAX_SAVED_AT_STOP = 100
const MAX_SAVE_TRIES = 5
/** Changes of one save that are kept; the log tells the number of all. */
const MAX_ENTRIES = 100
const MAX_LOGGED_PATHS = 5

type Sample = Pick<NewEvent, 'source' | 'type' | 'uid' | 'receivedAtMs' | 'body'>
interface Look {
  readonly outline: Outline
  readonly uid: string
  readonly atMs: number
}

/** A source and type. `shape` is undefined until it is read. */
interface Watched {
  readonly source: string
  readonly type: string
  shape: Shape | undefined
  version: number
  /** Since the last save. */
  looks: Look[]
  entries: DriftEntry[]
  usedAtMs: number
  isBusy: boolean
}

interface DriftWatchOptions {
  readonly store: Pick<DriftStore, 'readShape' | 'saveShape'>
  readonly telemetry: Pick<Telemetry, 'drifted'>
  readonly log: Logger
  readonly clock: Clock
  /** A monotonic clock. */
  readonly now?: () => number
}

/**
 * Learns the shapes of payloads from a sample of the events that are stored, and tells their changes. It works after the commit, in
 * short turns of the main thread that take a bounded share of its time; under load most events are not looked at.
 */
export class DriftWatch {
  readonly #options: DriftWatchOptions
  readonly #now: () => number
  readonly #waiting = new Map<string, Sample[]>()
  #waitingCount = 0
  #waitingBytes = 0
  readonly #watched = new Map<string, Watched>()
  readonly #typesOf = new Map<string, number>()
  #turn: NodeJS.Timeout | undefined
  #nextTurnMs = 0
  #save: NodeJS.Timeout | undefined
  #savesSoon = false
  #isStopped = false
  #isFailing = false

  constructor(options: DriftWatchOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Takes an event that is stored, and understood, as one to look at. Returns at once. */
  offer({ source, type, uid, receivedAtMs, body }: Sample): void {
    if (this.#waitingCount >= MAX_WAITING || this.#isStopped || body.length > MAX_INLINE_BYTES) return
    if (this.#waitingBytes + body.length > MAX_WAITING_BYTES) return
    const key = `${source}\n${type}`
    const ofType = this.#waiting.get(key) ?? []
    if (ofType.length >= MAX_WAITING_OF_TYPE) return
    ofType.push({ source, type, uid, receivedAtMs, body })
    this.#waiting.set(key, ofType)
    this.#waitingCount++
    this.#waitingBytes += body.length
    this.#turn ??= setTimeout(() => this.#takeTurn(), Math.max(GATHER_MS, this.#nextTurnMs - this.#now())).unref()
  }

  /** Hands what was learned to the store. Later events are not looked at. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#turn)
    clearTimeout(this.#save)
    for (const watched of this.#unsaved().slice(0, MAX_SAVED_AT_STOP)) void this.#saveOne(watched)
  }

  /** Resolves when no event waits any more. For tests. */
  async idle(): Promise<void> {
    while (this.#waitingCount > 0 || [...this.#watched.values()].some(({ shape }) => shape === undefined)) {
      if (this.#waitingCount > 0) this.#takeTurn()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  #takeTurn(): void {
    clearTimeout(this.#turn)
    this.#turn = undefined
    const startedMs = this.#now()
    do {
      const key = this.#nextType()
      if (key === undefined) break
      const samples = this.#waiting.get(key) ?? []
      this.#waiting.delete(key)
      const sample = samples.shift()
      this.#waitingCount--
      if (samples.length > 0) this.#waiting.set(key, samples)
      if (sample === undefined) continue
      this.#waitingBytes -= sample.body.length
      this.#lookAt(key, sample)
    } while (this.#now() - startedMs < TURN_MS)
    const tookMs = this.#now() - startedMs
    this.#nextTurnMs = this.#now() + Math.max(PAUSE_MS, tookMs / CPU_SHARE)
    if (this.#waitingCount > 0) this.#turn = setTimeout(() => this.#takeTurn(), this.#nextTurnMs - this.#now()).unref()
  }

  /** The types take turns, but for those whose shape is being read. */
  #nextType(): string | undefined {
    return this.#waiting.keys().find((key) => !this.#watched.has(key) || this.#watched.get(key)?.shape !== undefined)
  }

  #lookAt(key: string, sample: Sample): void {
    const { uid, receivedAtMs, body } = sample
    const watched = this.#watched.get(key)
    if (watched === undefined) return this.#watch(key, sample)
    if (watched.shape === undefined) return
    const payload = parseJson(body)
    const outline = outlineOf(payload.ok ? payload.value : undefined, watched.shape.maps())
    if (outline === undefined) return
    const look = { outline, uid, atMs: receivedAtMs }
    watched.usedAtMs = this.#now()
    watched.looks.push(look)
    if (watched.looks.length > MAX_UNSAVED) watched.looks.shift()
    const entries = entriesOf(watched, watched.shape, look)
    this.#scheduleSave(watched.entries.push(...entries) > 0)
  }

  /** Begins to watch the type of an event, which is looked at once its shape is read; not if too many are watched already. */
  #watch(key: string, sample: Sample): void {
    const { source, type } = sample
    const types = this.#typesOf.get(source) ?? 0
    if (this.#watched.size >= MAX_TYPES || types >= MAX_TYPES_OF_SOURCE || this.#pathCount() >= MAX_PATHS_IN_MEMORY)
      return
    const unread = { shape: undefined, version: 0, looks: [], entries: [], isBusy: false }
    const watched: Watched = { source, type, ...unread, usedAtMs: this.#now() }
    this.#watched.set(key, watched)
    this.#typesOf.set(source, types + 1)
    void this.#read(watched).then(
      () => this.offer(sample),
      (error: unknown) => {
        this.#forget(key, watched)
        this.#drop(key)
        this.#failed(error)
      },
    )
  }

  /** Events that wait are not looked at while the store cannot be read. */
  #drop(key: string): void {
    for (const { body } of this.#waiting.get(key) ?? []) {
      this.#waitingCount--
      this.#waitingBytes -= body.length
    }
    this.#waiting.delete(key)
  }

  #pathCount(): number {
    let count = 0
    for (const { shape } of this.#watched.values()) count += shape?.size ?? 0
    return count
  }

  #forget(key: string, { source }: Watched): void {
    if (this.#watched.delete(key)) this.#typesOf.set(source, (this.#typesOf.get(source) ?? 1) - 1)
  }

  async #read(watched: Watched): Promise<Shape> {
    const stored = await this.#options.store.readShape(watched.source, watched.type)
    const shape = stored === undefined ? new Shape() : Shape.fromText(stored.shape)
    watched.version = stored?.version ?? 0
    watched.shape = shape
    return shape
  }

  #scheduleSave(soon: boolean): void {
    if (this.#isStopped || (this.#save !== undefined && (this.#savesSoon || !soon))) return
    clearTimeout(this.#save)
    this.#savesSoon = soon
    this.#save = setTimeout(() => void this.#saveAll(), soon ? SAVE_SOON_MS : SAVE_MS).unref()
  }

  #unsaved(): readonly Watched[] {
    return [...this.#watched.values()].filter(({ looks, isBusy }) => looks.length > 0 && !isBusy)
  }

  async #saveAll(): Promise<void> {
    this.#save = undefined
    this.#savesSoon = false
    for (const [key, watched] of this.#watched)
      if (watched.looks.length === 0 && this.#now() - watched.usedAtMs > IDLE_MS) this.#forget(key, watched)
    const unsaved = this.#unsaved()
    for (let at = 0; at < unsaved.length && !this.#isStopped; at += MAX_SAVING)
      await Promise.all(unsaved.slice(at, at + MAX_SAVING).map((watched) => this.#saveOne(watched)))
    // What was learned meanwhile, or could not be saved.
    if (this.#unsaved().length > 0) this.#scheduleSave(false)
  }

  /** Never rejects. */
  async #saveOne(watched: Watched): Promise<void> {
    if (watched.isBusy) return
    watched.isBusy = true
    try {
      await this.#saveUntilDone(watched)
    } catch (error) {
      this.#failed(error)
    }
    watched.isBusy = false
  }

  async #saveUntilDone(watched: Watched): Promise<void> {
    const { source, type } = watched
    for (let tries = 0; tries < MAX_SAVE_TRIES && watched.shape !== undefined; tries++) {
      const looks = new Set(watched.looks)
      const shape = watched.shape.toText()
      const savedAtMs = this.#options.clock()
      const { version } = watched
      const told = [...watched.entries]
      const kept = told.slice(0, MAX_ENTRIES)
      if (await this.#options.store.saveShape({ source, type, version, shape, savedAtMs, entries: kept })) {
        watched.version = version + 1
        watched.looks = watched.looks.filter((look) => !looks.has(look))
        watched.entries = watched.entries.slice(told.length)
        this.#isFailing = false
        this.#tell(source, type, told)
        return
      }
      // Another process has saved the shape: what this one has seen is looked at again, beside what that one has learned.
      const fresh = await this.#read(watched)
      watched.entries = watched.looks.flatMap((look) => entriesOf(watched, fresh, look))
    }
  }

  #tell(source: string, type: string, entries: readonly DriftEntry[]): void {
    if (entries.length === 0) return
    for (const _ of entries) this.#options.telemetry.drifted(source, type)
    this.#options.log.warn(
      {
        source,
        type,
        changes: entries.length,
        paths: entries.slice(0, MAX_LOGGED_PATHS).map(({ path, what }) => `${path} ${what}`),
        uid: entries[0]?.event,
      },
      'the payloads of a type have changed: see holdfast drift',
    )
  }

  #failed(error: unknown): void {
    if (!this.#isFailing && !this.#isStopped)
      this.#options.log.warn({ error: messageOf(error) }, 'the shapes of payloads could not be kept')
    this.#isFailing = true
  }
}

function entriesOf({ source, type }: Watched, shape: Shape, { outline, uid, atMs }: Look): readonly DriftEntry[] {
  return shape.look(outline, atMs).map((change) => ({ source, type, ...change, atMs, event: uid }))
}
