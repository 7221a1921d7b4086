import type { OpenStore } from '../../../src/domain/store.ts'
import { newEvent } from '../../contract/store-samples.ts'
import { queryIn } from './schema.ts'

/** As `event_body` names it. */
export const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10)

const FILL = `
  WITH made AS MATERIALIZED (
    SELECT n, nextval('event_key_seq') AS key, convert_to(repeat(md5(n::text), 32), 'UTF8') AS bytes
    FROM generate_series(1, $2::integer) AS n
  ),
  keys AS (INSERT INTO event_key SELECT 'ai', 'old_' || n, '', key FROM made),
  events AS (
    INSERT INTO event
    SELECT key, gen_random_uuid(), 'ai', 'ai', 'old_' || n, 0, 'probe.old', $3, $1, 'webhook', 'accepted', NULL, NULL, NULL,
      sha256(bytes), length(bytes)
    FROM made
  ),
  bodies AS (INSERT INTO event_body SELECT $4::date, key, '{}', NULL, bytes FROM made),
  deliveries AS (
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated)
    SELECT key * 1024, 'steady', 'succeeded', $1, 1, false FROM made
  ),
  attempts AS (INSERT INTO attempt SELECT key * 1024, 1, 1, 'succeeded', NULL, $1::bigint, 5 FROM made),
  details AS (INSERT INTO attempt_detail SELECT key * 1024, 1, '{}' FROM made)
  INSERT INTO tally VALUES ('succeeded', $2)
`

/** Fills the day of that time with events that were handled; and one more, which makes its partition. */
export async function fillDay(store: OpenStore, url: string, timeMs: number, count: number): Promise<void> {
  await store.append(newEvent({ id: 'old_0', receivedAtMs: timeMs, handlers: [] }))
  await queryIn(url, FILL, [timeMs, count, new Date(timeMs).toISOString(), dayOf(timeMs)])
}

/** The tables in which bodies of that day stand, attached or not. */
export const partitionsOf = (url: string, timeMs: number): Promise<object[]> =>
  queryIn(
    url,
    'SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = $1 AND relname = $2',
    ['r', `event_body_${dayOf(timeMs).replaceAll('-', '')}`],
  )
