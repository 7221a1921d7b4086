/** What can be paused: the deliveries of a handler, or the deliveries of all events of a source. */
export const PAUSED_KINDS = ['handler', 'source'] as const
export type PausedKind = (typeof PAUSED_KINDS)[number]

export interface Pause {
  readonly kind: PausedKind
  readonly name: string
  readonly sinceMs: number
  /** Who paused it: the name that the client gave itself, or by which right it asked. */
  readonly by: string
  readonly reason?: string
}

export type NewPause = Omit<Pause, 'sinceMs'>

/**
 * Which handlers and sources are paused. Events are stored and routed as ever, and the deliveries of what is paused stay pending. The
 * processes that run handlers obey: of a paused handler they claim nothing; a delivery of a paused source that they have claimed they
 * settle as `held`.
 */
export interface PauseStore {
  /** What is paused already stays paused since the same time, and gets the new reason if there is one. */
  pause(pause: NewPause): Promise<Pause>

  /** Resolves with what was paused; undefined: it was not. Held deliveries of a source stay held until `releaseHeld`. */
  resume(kind: PausedKind, name: string): Promise<Pause | undefined>

  /** In order of their beginning. */
  list(): Promise<readonly Pause[]>

  /**
   * Makes held deliveries due now whose source is not paused (any more), in order of key, at most `limit` of one source. Resolves with
   * their number: 0 means that there are none left. Cheap if nothing is held.
   */
  releaseHeld(limit: number): Promise<number>
}

/**
 * How far ahead a held delivery is due. It does not come due by itself, unless something is wrong with its release: then it is claimed
 * again after this time.
 */
export const HELD_MS = 30 * 86_400_000

/** Characters of the reason for a pause. */
export const MAX_PAUSE_REASON = 256

/** Pauses handlers and sources for all processes, and drains this one. */
export interface PauseService {
  /** What is paused, as this process knows it. */
  list(): readonly Pause[]
  find(kind: PausedKind, name: string): Pause | undefined
  /** As `PauseStore.pause`; this process obeys when it resolves, the others within a second. */
  pause(pause: NewPause): Promise<Pause>
  /** As `PauseStore.resume`. Held deliveries become due soon after. */
  resume(kind: PausedKind, name: string): Promise<Pause | undefined>
  /** Whether this process claims no deliveries and no tasks, and works on no replay job. It forgets that when it ends. */
  readonly isDraining: boolean
  /** Begins or ends that. Running attempts finish; what is leased ahead is given back. */
  drain(on: boolean): void
}
