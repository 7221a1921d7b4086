import type { PauseStore } from '../../domain/pause.ts'
import { HELD_SOURCES, type PauseRow, pauseOf } from '../shared/pauses.ts'
import type { Connections, Statement } from './connections.ts'
import { escapeText, escapeTextOrNull } from './escape-text.ts'
import type { Operations } from './open-operations.ts'

const PAUSE = {
  name: 'pause',
  text: `
    INSERT INTO pause (kind, name, since, paused_by, reason) VALUES ($2, $3, clock_1($1), $4, $5)
    ON CONFLICT (kind, name) DO UPDATE SET reason = coalesce(excluded.reason, pause.reason)
    RETURNING kind, name, since, paused_by, reason
  `,
}
const RESUME = {
  name: 'resume',
  text: 'DELETE FROM pause WHERE kind = $1 AND name = $2 RETURNING kind, name, since, paused_by, reason',
}
const LIST = { name: 'pauses', text: 'SELECT kind, name, since, paused_by, reason FROM pause ORDER BY since, key' }
/** $1: the time, in tests; $2: the most deliveries; $3: only keys after this one. */
const release = (name: string, source: string): Statement => ({
  name,
  text: `
    WITH source AS MATERIALIZED (${source}),
    batch AS MATERIALIZED (
      SELECT key FROM delivery
      WHERE state = 'pending' AND held_for IS NOT NULL AND held_for = (SELECT source FROM source) AND key > $3
      ORDER BY key LIMIT $2 FOR UPDATE
    ),
    released AS (
      UPDATE delivery SET due_at = clock_1($1), held_for = NULL FROM batch
      WHERE delivery.key = batch.key AND delivery.state = 'pending' RETURNING delivery.key
    )
    SELECT count(*)::integer AS released, max(key) AS last, (SELECT source FROM source) AS source FROM released
  `,
})
const RELEASE_FIRST = release('release-held', HELD_SOURCES)
/** Goes on after a batch: from the beginning it would walk over all index entries of the batches before. */
const RELEASE_NEXT = release(
  'release-held-next',
  "SELECT $4::text AS source WHERE NOT EXISTS (SELECT FROM pause WHERE kind = 'source' AND name = $4)",
)

/** Only after a full batch of this size there may be so many more that it matters where the next one begins. */
const LARGE_BATCH = 100

type ReleasedRow = { readonly released: number; readonly last: number; readonly source: string }

function createReleaseHeld(connections: Connections, givenMs: () => number | null) {
  let at: ReleasedRow | undefined
  return async (limit: number): Promise<number> => {
    const before = at
    at = undefined
    const [next] =
      before === undefined
        ? []
        : await connections.run<ReleasedRow>('work', RELEASE_NEXT, [
            givenMs(),
            limit,
            before.last,
            escapeText(before.source),
          ])
    const found = next !== undefined && next.released > 0 ? next : await first(limit)
    if (found !== undefined && found.released === limit && limit >= LARGE_BATCH) at = found
    return found?.released ?? 0
  }

  async function first(limit: number): Promise<ReleasedRow | undefined> {
    const values = [givenMs(), limit, Number.MIN_SAFE_INTEGER]
    return (await connections.run<ReleasedRow>('work', RELEASE_FIRST, values))[0]
  }
}

export const createPauseStore = (
  connections: Connections,
  givenMs: () => number | null,
  operations: Operations,
): PauseStore => ({
  pause: operations.while(async ({ kind, name, by, reason }) => {
    const values = [givenMs(), kind, escapeText(name), escapeText(by), escapeTextOrNull(reason)]
    const [row] = await connections.run<PauseRow>('work', PAUSE, values)
    if (row === undefined) throw new Error('PostgreSQL returned no pause')
    return pauseOf(row)
  }),

  resume: operations.while(async (kind, name) => {
    const [row] = await connections.run<PauseRow>('work', RESUME, [kind, escapeText(name)])
    return row && pauseOf(row)
  }),

  list: operations.while(async () => (await connections.run<PauseRow>('work', LIST)).map(pauseOf)),

  releaseHeld: operations.while(createReleaseHeld(connections, givenMs)),
})
