import type { PauseStore } from '../../domain/pause.ts'
import { HELD_SOURCES, type PauseRow, pauseOf } from '../shared/pauses.ts'
import type { Connections } from './connections.ts'
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
const RELEASE = {
  name: 'release-held',
  text: `
    WITH source AS MATERIALIZED (${HELD_SOURCES}),
    batch AS MATERIALIZED (
      SELECT key FROM delivery WHERE state = 'pending' AND held_for IS NOT NULL AND held_for = (SELECT source FROM source)
      ORDER BY key LIMIT $2 FOR UPDATE
    ),
    released AS (
      UPDATE delivery SET due_at = clock_1($1), held_for = NULL FROM batch
      WHERE delivery.key = batch.key AND delivery.state = 'pending' RETURNING delivery.key
    )
    SELECT count(*)::integer AS released FROM released
  `,
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

  releaseHeld: operations.while(async (limit) => {
    const [row] = await connections.run<{ released: number }>('work', RELEASE, [givenMs(), limit])
    return row?.released ?? 0
  }),
})
