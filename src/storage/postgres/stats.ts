import type { Episode, EpisodeKind, OldStats, StatQuery, StatRow, StatStore } from '../../domain/stat-store.ts'
import { FROM_FIRST_STAT } from '../shared/stats.ts'
import type { Connections } from './connections.ts'

const RECORD = {
  name: 'record-stats',
  text: `
    INSERT INTO stat (span, at, source, writer, numbers)
    SELECT span, at, source, writer, numbers
    FROM json_to_recordset($1) AS x (span text, at bigint, source text, writer text, numbers text)
    ON CONFLICT (span, at, source, writer) DO UPDATE SET numbers = excluded.numbers
  `,
}
const PRUNE = {
  name: 'prune-stats',
  text: `
    WITH old AS MATERIALIZED (
      (SELECT span, at, source, writer FROM stat WHERE span = 'minute' AND (at < $1 OR at > $3) LIMIT $4)
      UNION ALL
      (SELECT span, at, source, writer FROM stat WHERE span = 'hour' AND (at < $2 OR at > $3) LIMIT $4)
    ),
    gone AS (
      DELETE FROM stat USING (SELECT * FROM old LIMIT $4) AS o
      WHERE (stat.span, stat.at, stat.source, stat.writer) = (o.span, o.at, o.source, o.writer) RETURNING 1
    )
    SELECT count(*)::integer AS pruned FROM gone
  `,
}
const BEGIN = {
  name: 'begin-episode',
  text: 'INSERT INTO episode (kind, source, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING kind',
}
const END = { name: 'end-episode', text: 'DELETE FROM episode WHERE kind = $1 AND source = $2 RETURNING kind' }
const EPISODES = 'SELECT kind, source, since AS "sinceMs" FROM episode ORDER BY kind COLLATE "C", source COLLATE "C"'
const READ = {
  name: 'read-stats',
  text: `
    SELECT span, at AS "atMs", source, writer, numbers FROM stat
    WHERE span = $1 AND at >= $2 AND at < $3 AND ($4::text IS NULL OR source = $4)
      AND (at, source, writer) > ($5, $6, $7)
    ORDER BY at, source, writer LIMIT $8
  `,
}



/** Numbers are written by the connections whose commits wait for no disk. */
export const createStats = (connections: Connections): StatStore => ({
  async recordStats(rows: readonly StatRow[]) {
    if (rows.length === 0) return
    const json = rows.map(({ atMs, ...row }) => ({ ...row, at: atMs }))
    await connections.run('lease', RECORD, [JSON.stringify(json)])
  },

  async statRows({ span, sinceMs, untilMs, source, after = FROM_FIRST_STAT, limit }: StatQuery) {
    const values = [span, Math.max(sinceMs, after.atMs), untilMs, source ?? null]
    return connections.run<StatRow & Record<string, unknown>>('read', READ, [
      ...values,
      after.atMs,
      after.source,
      after.writer,
      limit,
    ])
  },

  async pruneStats({ minutesBeforeMs, hoursBeforeMs, afterMs, limit }: OldStats) {
    const values = [minutesBeforeMs, hoursBeforeMs, afterMs, limit]
    return (await connections.run<{ pruned: number }>('work', PRUNE, values))[0]?.pruned ?? 0
  },

  beginEpisode: async ({ kind, source, sinceMs }: Episode) =>
    (await connections.run('work', BEGIN, [kind, source, sinceMs])).length > 0,

  endEpisode: async (kind: EpisodeKind, source: string) => (await connections.run('work', END, [kind, source])).length > 0,

  episodes: () => connections.run<Episode & Record<string, unknown>>('read', EPISODES),
})
