import type { Episode, EpisodeKind, OldStats, StatQuery, StatRow } from '../../domain/stat-store.ts'
import { FROM_FIRST_STAT } from '../shared/stats.ts'
import type { Connections, Row } from './connections.ts'
import { escapeText } from './escape-text.ts'

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
      (SELECT span, at, source, writer FROM stat WHERE span = 'handlers' AND (at < $1 OR at > $3) LIMIT $4)
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
export function createStats(connections: Connections) {
  const recordStats = async (rows: readonly StatRow[]): Promise<void> => {
    if (rows.length === 0) return
    const json = rows.map(({ atMs, ...row }) => ({ ...row, at: atMs }))
    await connections.run('lease', RECORD, [JSON.stringify(json)])
  }

  const statRows = ({
    span,
    sinceMs,
    untilMs,
    source,
    after = FROM_FIRST_STAT,
    limit,
  }: StatQuery): Promise<readonly StatRow[]> => {
    const { atMs, source: afterSource, writer } = after
    const values = [
      span,
      Math.max(sinceMs, atMs),
      untilMs,
      source === undefined ? null : escapeText(source),
      atMs,
      afterSource,
      writer,
      limit,
    ]
    return connections.run<StatRow & Row>('read', READ, values)
  }

  const pruneStats = async ({ minutesBeforeMs, hoursBeforeMs, afterMs, limit }: OldStats): Promise<number> => {
    const values = [minutesBeforeMs, hoursBeforeMs, afterMs, limit]
    return (await connections.run<{ pruned: number }>('work', PRUNE, values))[0]?.pruned ?? 0
  }

  const beginEpisode = async ({ kind, source, sinceMs }: Episode): Promise<boolean> =>
    (await connections.run('work', BEGIN, [kind, source, sinceMs])).length > 0

  const endEpisode = async (kind: EpisodeKind, source: string): Promise<boolean> =>
    (await connections.run('work', END, [kind, source])).length > 0

  const episodes = (): Promise<readonly Episode[]> => connections.run<Episode & Row>('read', EPISODES)

  return { recordStats, statRows, pruneStats, beginEpisode, endEpisode, episodes }
}
