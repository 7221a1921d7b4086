import type { DatabaseSync } from 'node:sqlite'
import type { Episode, EpisodeKind, OldStats, StatQuery, StatRow } from '../../domain/stat-store.ts'
import { FROM_FIRST_STAT } from '../shared/stats.ts'

/** What the writer thread does for `domain/stat-store.ts`. */
export function prepareStats(db: DatabaseSync) {
  const upsert = db.prepare(`
    INSERT INTO stat (span, at, source, writer, numbers) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (span, at, source, writer) DO UPDATE SET numbers = excluded.numbers
  `)
  const remove = db.prepare(`
    DELETE FROM stat WHERE (span, at, source, writer) IN (
      SELECT span, at, source, writer FROM stat WHERE span = ? AND (at < ? OR at > ?) LIMIT ?
    )
  `)
  const begin = db.prepare('INSERT INTO episode (kind, source, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
  const end = db.prepare('DELETE FROM episode WHERE kind = ? AND source = ?')
  return {
    recordStats(rows: readonly StatRow[]): void {
      for (const { span, atMs, source, writer, numbers } of rows) upsert.run(span, atMs, source, writer, numbers)
    },
    pruneStats({ minutesBeforeMs, hoursBeforeMs, afterMs, limit }: OldStats): number {
      const before = { minute: minutesBeforeMs, handlers: minutesBeforeMs, hour: hoursBeforeMs }
      let pruned = 0
      for (const [span, beforeMs] of Object.entries(before))
        pruned += Number(remove.run(span, beforeMs, afterMs, limit - pruned).changes)
      return pruned
    },
    beginEpisode: ({ kind, source, sinceMs }: Episode): boolean => begin.run(kind, source, sinceMs).changes === 1,
    endEpisode: (kind: EpisodeKind, source: string): boolean => end.run(kind, source).changes === 1,
  }
}

/** What the reader thread does for it. */
export function prepareReadStats(db: DatabaseSync) {
  const select = (filter: string) =>
    db.prepare(`
      SELECT span, at AS atMs, source, writer, numbers FROM stat
      WHERE span = ? AND at >= ? AND at < ? AND (at, source, writer) > (?, ?, ?) ${filter} ORDER BY at, source, writer LIMIT ?
    `)
  const ofAll = select('')
  const ofOne = select('AND source = ?')
  const episodes = db.prepare('SELECT kind, source, since AS sinceMs FROM episode ORDER BY kind, source')
  return {
    statRows: ({ span, sinceMs, untilMs, source, after = FROM_FIRST_STAT, limit }: StatQuery): readonly StatRow[] => {
      const bounds = [span, Math.max(sinceMs, after.atMs), untilMs, after.atMs, after.source, after.writer]
      const rows = source === undefined ? ofAll.all(...bounds, limit) : ofOne.all(...bounds, source, limit)
      return rows as unknown as readonly StatRow[]
    },
    episodes: (): readonly Episode[] => episodes.all() as unknown as readonly Episode[],
  }
}
