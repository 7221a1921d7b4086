/**
 * The lengths of the periods that are counted apart. Each number is counted in a minute and in its hour. `handlers` are the hours
 * once more, by handler: rows of their own, so that nothing else has to read them.
 */
export const STAT_SPANS = { minute: 60_000, hour: 3_600_000, handlers: 3_600_000 } as const
export type StatSpan = keyof typeof STAT_SPANS

/** What one process has counted of one source in one period. */
export interface StatRow {
  readonly span: StatSpan
  /** The beginning of the period, a multiple of its length (ms since the epoch, by the clock of the process that counted). */
  readonly atMs: number
  /** Empty: the service itself. */
  readonly source: string
  /** The process that counted: a name of its own for each start, so that processes never write the same row. */
  readonly writer: string
  /** The numbers so far, as `monitoring/numbers.ts` writes them, or `monitoring/handler-numbers.ts`. */
  readonly numbers: string
}

/** The last row of a page. */
export type StatPosition = Pick<StatRow, 'atMs' | 'source' | 'writer'>

export interface StatQuery {
  readonly span: StatSpan
  /** Periods that begin at or after this time, and before the other. */
  readonly sinceMs: number
  readonly untilMs: number
  readonly source?: string
  /** The last row of the page before; absent: from the first row on. */
  readonly after?: StatPosition
  readonly limit: number
}

export interface OldStats {
  /** Periods that began before these times are deleted; those of handlers like minutes. */
  readonly minutesBeforeMs: number
  readonly hoursBeforeMs: number
  /** So are periods that begin after this time: a clock that was ahead has counted them. */
  readonly afterMs: number
  /** The most rows that one call deletes. */
  readonly limit: number
}

/** States of a source that are told once when they begin and once when they are over, whichever replica sees it first. */
export const EPISODE_KINDS = ['silent', 'refusing'] as const
export type EpisodeKind = (typeof EPISODE_KINDS)[number]

export interface Episode {
  readonly kind: EpisodeKind
  readonly source: string
  readonly sinceMs: number
}

/** What the processes have counted, and what they have seen of it. */
export interface StatStore {
  /**
   * Writes rows, each in place of the row with the same span, time, source and writer: the same call may be repeated. Durable as a
   * settlement: a power cut may undo the calls of the last seconds. May wait some seconds for another commit to go along with.
   */
  recordStats(rows: readonly StatRow[]): Promise<void>

  /** Ordered by time, source and writer. */
  statRows(query: StatQuery): Promise<readonly StatRow[]>

  /** Deletes old rows, at most `limit` of them. Resolves with their number. */
  pruneStats(old: OldStats): Promise<number>

  /** Remembers that an episode has begun. False, and nothing changes, if one of this kind and source has begun before. */
  beginEpisode(episode: Episode): Promise<boolean>

  /** Forgets it. False: there was none. */
  endEpisode(kind: EpisodeKind, source: string): Promise<boolean>

  /** Those that have begun and not ended, of any source. */
  episodes(): Promise<readonly Episode[]>
}
