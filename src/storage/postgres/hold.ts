import type { Statement } from './connections.ts'

/** For deliveries of paused sources: they wait as if they had not been claimed. */
export const HOLD: Statement = {
  name: 'hold',
  text: `
    WITH clock AS MATERIALIZED (SELECT clock_1($1) AS now),
    given AS MATERIALIZED (
      SELECT * FROM json_to_recordset($2) AS x (n integer, key bigint, lease text, held_for text, wait_ms bigint)
    ),
    held AS MATERIALIZED (
      SELECT g.*, d.attempts, EXISTS (SELECT FROM pause AS p WHERE p.kind = 'source' AND p.name = g.held_for) AS is_paused
      FROM given AS g JOIN delivery AS d ON d.key = g.key WHERE d.lease = g.lease ORDER BY d.key FOR UPDATE OF d
    ),
    moved AS (
      UPDATE delivery SET state = 'pending', due_at = (SELECT now FROM clock) + CASE WHEN h.is_paused THEN h.wait_ms ELSE 0 END,
        held_for = CASE WHEN h.is_paused THEN h.held_for END, attempts = h.attempts - 1, lease = NULL, lease_until = NULL,
        started_at = NULL
      FROM held AS h WHERE delivery.key = h.key
    ),
    tallied AS (
      INSERT INTO tally
      SELECT 'pending', count(*) FROM held HAVING count(*) > 0
      UNION ALL SELECT 'running', -count(*) FROM held HAVING count(*) > 0
    )
    SELECT n FROM held
  `,
}
