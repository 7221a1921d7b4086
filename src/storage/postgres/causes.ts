import { MAX_CAUSES, MAX_CAUSES_OF_HANDLER, OTHER_CAUSES } from '../../domain/cause.ts'
import {
  type DeadCauseFilter,
  type DeadCauses,
  MAX_COUNTED,
  type NameCauses,
  type NamedCauses,
} from '../../domain/dead-letters.ts'
import { CauseKeys } from '../shared/cause-keys.ts'
import {
  AFTER_ALL,
  type CauseRow,
  deadCauseOf,
  hoursUntil,
  lastUnnamed,
  meansUnnamed,
  mostFirst,
  type UnnamedRow,
  unnamedCause,
} from '../shared/causes.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { escapeText, escapeTextOrNull } from './escape-text.ts'

/** In one order, so that replicas that record the same causes do not block each other in a circle. */
const RECORD = {
  name: 'record-causes',
  text: `
    SELECT cause_1($1, id, handler, source, signature, at, $3, $4, $5, $6) AS key, n FROM (
      SELECT * FROM json_to_recordset($2) AS x (n integer, id text, handler text, source text, signature text, at text)
      ORDER BY handler, source, id
    ) AS given
  `,
}
/** The last to die first. */
const UNNAMED = {
  name: 'unnamed-causes',
  text: `
    SELECT d.key, d.due_at, d.handler, event.source, d.last_error AS error, CASE WHEN last.error = d.last_error THEN last.detail END AS detail
    FROM (
      SELECT * FROM delivery WHERE state = 'dead' AND cause IS NULL AND (due_at, key) < ($1::bigint, $2::bigint)
      ORDER BY due_at DESC, key DESC LIMIT $3
    ) AS d LEFT JOIN event ON event.key = d.key / 1024
    LEFT JOIN LATERAL (
      SELECT a.error, t.detail FROM attempt AS a
      LEFT JOIN attempt_detail AS t ON t.delivery = a.delivery AND t.ordinal = a.ordinal
      WHERE a.delivery = d.key ORDER BY a.ordinal DESC LIMIT 1
    ) AS last ON true ORDER BY d.due_at DESC, d.key DESC
  `,
}
/** Locks in order of key, as a settlement does. */
const NAME = {
  name: 'name-causes',
  text: `
    WITH given AS MATERIALIZED (
      SELECT d.key, g.cause FROM unnest($1::bigint[], $2::bigint[]) AS g (key, cause) JOIN delivery AS d ON d.key = g.key
      WHERE d.state = 'dead' AND d.cause IS NULL ORDER BY d.key FOR UPDATE OF d
    )
    UPDATE delivery SET cause = given.cause FROM given WHERE delivery.key = given.key RETURNING delivery.key
  `,
}
const PRUNE = {
  name: 'prune-causes',
  text: `
    DELETE FROM cause WHERE seen_at < $1 AND NOT EXISTS (
      SELECT FROM delivery AS d WHERE d.cause = cause.key AND d.state = 'dead'
    ) RETURNING key
  `,
}
/** Compared with the cause as a row, so that only the index by cause gives the order. */
const between = (from: string, to: string): string =>
  `state = 'dead' AND (cause, due_at) >= (c.key, ${from}) AND (cause, due_at) < (c.key, ${to})`
const OF = between('$1::bigint', '$2::bigint')
const OF_HOUR = between('greatest($1::bigint, r.from_ms)', 'least($2::bigint, r.to_ms)')
/** Without a name: the server plans it by the number of causes and deaths that there are now. */
const DEAD_CAUSES = `
  SELECT c.key, c.id, c.handler, c.source, c.signature, c.at, f.due_at AS first, l.due_at AS last, t.n AS count, h.hourly
  FROM cause AS c
  CROSS JOIN LATERAL (SELECT due_at FROM delivery WHERE ${OF} ORDER BY cause, due_at, key LIMIT 1) AS f
  CROSS JOIN LATERAL (SELECT due_at FROM delivery WHERE ${OF} ORDER BY cause DESC, due_at DESC, key DESC LIMIT 1) AS l
  CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT FROM delivery WHERE ${OF} LIMIT ${MAX_COUNTED + 1}) AS d) AS t
  CROSS JOIN LATERAL (
    SELECT json_agg(CASE WHEN f.due_at < r.to_ms AND l.due_at >= r.from_ms THEN (
      SELECT count(*) FROM (
        SELECT FROM delivery WHERE ${OF_HOUR} LIMIT ${MAX_COUNTED}
      ) AS d
    ) ELSE 0 END ORDER BY r.at) AS hourly
    FROM unnest($3::bigint[], $7::bigint[]) WITH ORDINALITY AS r (from_ms, to_ms, at)
  ) AS h
  WHERE ($4::text IS NULL OR c.id = $4) AND ($5::text IS NULL OR c.handler = $5) AND ($6::text IS NULL OR c.source = $6)
`
const COUNT_UNNAMED = {
  name: 'count-unnamed',
  text: `SELECT count(*) AS n FROM (SELECT FROM delivery WHERE state = 'dead' AND cause IS NULL AND due_at >= $1 AND due_at < $2 LIMIT ${MAX_COUNTED}) AS d`,
}

export const createCauseKeys = (connections: Connections, clock: DatabaseClock): CauseKeys =>
  new CauseKeys(async (causes) => {
    const rows = causes.map(({ id, handler, source, signature, at }, n) => ({
      n,
      id,
      handler: escapeText(handler),
      source: escapeText(source),
      signature: escapeText(signature),
      at: escapeTextOrNull(at),
    }))
    const most = [MAX_CAUSES, MAX_CAUSES_OF_HANDLER]
    const values = [clock.givenMs(), JSON.stringify(rows), ...most, OTHER_CAUSES.id, OTHER_CAUSES.signature]
    const found = await connections.run<{ n: number; key: number }>('lease', RECORD, values)
    return found.toSorted((one, other) => one.n - other.n).map(({ key }) => key)
  })

export function createNameCauses(connections: Connections, causes: CauseKeys) {
  return async ({ causeOf, limit, from: { diedAtMs, key } = AFTER_ALL }: NameCauses): Promise<NamedCauses> => {
    const rows = await connections.run<UnnamedRow>('read', UNNAMED, [diedAtMs, key, limit])
    if (rows.length === 0) return { named: 0, next: undefined }
    const keys = await causes.keysOf(rows.map((row) => unnamedCause(row, causeOf)))
    const named = await connections.run('work', NAME, [rows.map((row) => row.key), keys])
    return { named: named.length, next: lastUnnamed(rows, limit) }
  }
}

export const createPruneCauses =
  (connections: Connections) =>
  async (seenBeforeMs: number): Promise<number> =>
    (await connections.run('work', PRUNE, [seenBeforeMs])).length

type DeadCauseRow = CauseRow & Readonly<{ first: number; last: number; count: number; hourly: readonly number[] }>

export function createDeadCauses(connections: Connections, clock: DatabaseClock) {
  return async (filter: DeadCauseFilter): Promise<DeadCauses> => {
    const { handler, source, cause, sinceMs = Number.MIN_SAFE_INTEGER, untilMs = Number.MAX_SAFE_INTEGER } = filter
    const hours = hoursUntil(await now(connections, clock))
    const rows = await connections.run<DeadCauseRow>('read', DEAD_CAUSES, [
      sinceMs,
      untilMs,
      hours.map(({ fromMs }) => fromMs),
      escapeTextOrNull(cause),
      escapeTextOrNull(handler),
      escapeTextOrNull(source),
      hours.map(({ toMs }) => toMs),
    ])
    const [left] = meansUnnamed(filter)
      ? await connections.run<{ n: number }>('read', COUNT_UNNAMED, [sinceMs, untilMs])
      : []
    return { causes: mostFirst(rows.map((row) => deadCauseOf(row, row, row.hourly))), unnamed: left?.n ?? 0 }
  }
}

/** By the clock of the database, which dates the deaths. */
async function now(connections: Connections, clock: DatabaseClock): Promise<number> {
  const [row] = await connections.run<{ now: number }>('read', 'SELECT clock_1($1) AS now', [clock.givenMs()])
  return row?.now ?? clock.localMs()
}
