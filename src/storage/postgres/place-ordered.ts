import type { ClaimRequest } from '../../domain/delivery-queue.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Row } from './connections.ts'
import { unlessDamaged } from './errors.ts'
import { escapeText } from './escape-text.ts'

/** How often claims place deliveries if the caller has no ordered handlers: another release, or an earlier configuration, had. */
const PLACE_MS = 10_000
/** How soon to claim again if deliveries were left unplaced, because another transaction held their order. */
const AGAIN_MS = 20
/** How many order keys one repair looks at; the next one goes on from there. */
const MAX_LOOKED_AT = 1_000
/** Time between two repairs that go on, and between the end of a round over all order keys and the next round. */
const STEP_MS = 1_000
const ROUND_MS = 30_000

const PLACE = { name: 'place', text: 'SELECT place_1($1) AS is_left' }

/** Steps from order key to order key through the index. Deliveries that are blocked behind no head are placed again. */
const REPAIR = {
  name: 'repair-order',
  text: `
    WITH RECURSIVE line (handler, order_key, n) AS (
      (SELECT d.handler, d.order_key, 1 FROM delivery AS d
       WHERE d.order_key IS NOT NULL AND d.state IN ('pending', 'running', 'blocked', 'unplaced') AND (d.handler, d.order_key) > ($1, $2::bigint)
       ORDER BY d.handler, d.order_key LIMIT 1)
      UNION ALL
      SELECT next.handler, next.order_key, line.n + 1 FROM line CROSS JOIN LATERAL (
        SELECT d.handler, d.order_key FROM delivery AS d
        WHERE d.order_key IS NOT NULL AND d.state IN ('pending', 'running', 'blocked', 'unplaced')
          AND (d.handler, d.order_key) > (line.handler, line.order_key)
        ORDER BY d.handler, d.order_key LIMIT 1
      ) AS next WHERE line.n < ${MAX_LOOKED_AT}
    ),
    released AS (
      UPDATE delivery SET state = 'unplaced' WHERE state = 'blocked' AND key = ANY (ARRAY(
        SELECT first_waiting_1(line.handler, line.order_key) FROM line WHERE NOT has_head_1(line.handler, line.order_key)
      ))
    )
    SELECT handler, order_key, n FROM line ORDER BY n DESC LIMIT 1
  `,
}

interface LineRow extends Row {
  readonly handler: string
  readonly order_key: number
  readonly n: number
}

/**
 * Decides which deliveries with an order key may run, before a claim. Resolves with the time at which the next claim should come
 * for what could not be decided now; undefined if there is nothing of that kind.
 */
export function createPlaceOrdered(connections: Connections, clock: DatabaseClock) {
  let placeAtMs = Number.NEGATIVE_INFINITY
  const round = { handler: '', orderKey: -1, nextAtMs: Number.NEGATIVE_INFINITY }

  async function repair(nowMs: number): Promise<void> {
    const [last] = await connections.run<LineRow>('lease', REPAIR, [escapeText(round.handler), round.orderKey])
    if (last === undefined || last.n < MAX_LOOKED_AT)
      Object.assign(round, { handler: '', orderKey: -1, nextAtMs: nowMs + ROUND_MS })
    else Object.assign(round, { handler: last.handler, orderKey: last.order_key, nextAtMs: nowMs + STEP_MS })
  }

  return async ({ ordered }: ClaimRequest): Promise<number | undefined> => {
    const nowMs = clock.localMs()
    const isDue = (atMs: number, withinMs: number) => nowMs >= atMs || atMs > nowMs + withinMs
    if (isDue(round.nextAtMs, ROUND_MS)) {
      round.nextAtMs = nowMs + ROUND_MS
      await unlessDamaged(repair(nowMs), undefined)
    }
    if (ordered !== true && !isDue(placeAtMs, PLACE_MS)) return undefined
    placeAtMs = nowMs + PLACE_MS
    const [row] = await unlessDamaged(connections.run<{ is_left: boolean }>('lease', PLACE, [clock.givenMs()]), [])
    return row?.is_left === true ? nowMs + AGAIN_MS : undefined
  }
}
