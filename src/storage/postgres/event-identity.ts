import { checksumOf } from '../../domain/checksum.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/event-store.ts'
import type { AppendResult } from '../shared/append-queue.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Row } from './connections.ts'
import { unlessDamaged } from './errors.ts'
import { escapeText } from './escape-text.ts'
import { type Contender, takeId } from './id-successor.ts'

/**
 * Finds an event with the same bytes that one of these judgements has quarantined; none if those bytes were understood since.
 */
const JUDGED = {
  name: 'judged',
  text: `
    SELECT x.key, x.uid, (
      SELECT json_agg(d.handler ORDER BY d.key)::text FROM delivery AS d
      WHERE d.key BETWEEN x.key * 1024 AND x.key * 1024 + 1023 AND d.state = 'dead'
    ) AS dead
    FROM (
      SELECT k.event FROM event_key AS k WHERE k.source = $1 AND k.id = $2 AND k.variant = 'q'::bytea || $3::bytea
      UNION ALL
      SELECT b.event FROM body_key AS b WHERE $4 AND b.source = $1 AND b.checksum = $3 AND NOT b.is_understood
    ) AS c JOIN event AS x ON x.key = c.event
    WHERE x.status = 'quarantined' AND EXISTS (
      SELECT FROM attempt AS a JOIN attempt_detail AS t ON t.delivery = a.delivery AND t.ordinal = a.ordinal
      WHERE a.delivery BETWEEN x.key * 1024 AND x.key * 1024 + 1023 AND a.outcome = 'rejected'
        AND t.detail::json ->> 'judgement' = ANY ($5)
    ) AND NOT EXISTS (
      SELECT FROM event_key AS k JOIN event AS f ON f.key = k.event
      WHERE k.source = $1 AND k.id = $2 AND k.variant = '' AND f.checksum = $3
    ) AND NOT EXISTS (
      SELECT FROM body_key AS b WHERE $4 AND b.source = $1 AND b.checksum = $3 AND b.is_understood
    ) LIMIT 1
  `,
}

const REPEATED = {
  name: 'repeated',
  text: 'SELECT repeated_1(ARRAY[$1::bigint], ARRAY[$2::bigint], ARRAY[$3::text])',
}

interface JudgedRow extends Row {
  readonly key: number
  readonly uid: string
  /** JSON. */
  readonly dead: string | null
}

/**
 * Finds out whether handler processes have judged the same event before, and quarantined it: then the new event is a duplicate.
 * Needed only for events whose judgement is left to those processes (`unjudged`).
 */
export function createFindJudged(connections: Connections) {
  return async (event: NewEvent, aheadMs: number): Promise<Receipt | undefined> => {
    const { source, id, body, dedupe, unjudged, taskLease } = event
    if (unjudged === undefined || taskLease !== undefined) return undefined
    const checksum = Buffer.from(await checksumOf(body), 'hex')
    const values = [source, escapeText(id), checksum, dedupe === 'body', unjudged]
    // If the earlier event cannot be read, the new event is judged again.
    const [seen] = await unlessDamaged(connections.run<JudgedRow>('append', JUDGED, values), [])
    if (seen === undefined) return undefined
    // Reads again, in a transaction whose commit waits for the standby, because the first event may not be on the standby yet.
    const judged = await connections.transaction(async (query) => {
      const [found] = await query<JudgedRow>(JUDGED, values)
      if (found !== undefined)
        await query(REPEATED, [found.key, event.receivedAtMs + aheadMs, event.receivedFrom ?? null])
      return found
    }, 'append')
    if (judged === undefined) return undefined
    const { uid, dead } = judged
    return { outcome: 'duplicate', uid, ...(dead !== null && { dead: JSON.parse(dead) as string[] }) }
  }
}

/** Waits for a transaction that is giving the id up, and keeps the next one waiting. */
const HOLDER = {
  name: 'holder',
  text: `
    SELECT FROM event AS x JOIN event_key AS k ON k.source = x.source AND k.id = x.id AND k.variant = ''
    WHERE x.uid = $1 FOR KEY SHARE OF k
  `,
}
const CONTENDER = { name: 'contender', text: 'SELECT key, uid, status FROM event WHERE uid = $1 FOR UPDATE' }

/**
 * An event was stored as in conflict with another one while that one gave its id up, and neither transaction saw the other.
 * Then the new event takes the id. This happens before the event is acknowledged, so that its sender sends it again if the
 * service ends in between.
 */
export function createResolveConflict(connections: Connections, clock: DatabaseClock) {
  return async (conflict: Conflict, event: NewEvent): Promise<AppendResult> => {
    const { uid } = conflict
    const taken = await connections.transaction(async (query) => {
      const [holder] = await query(HOLDER, [uid])
      if (holder !== undefined) return undefined
      const [contender] = await query<Contender>(CONTENDER, [uid])
      if (contender === undefined) return undefined
      return takeId(query, clock, contender, { routing: event, byBody: event.dedupe === 'body' })
    }, 'append')
    if (taken === undefined) return conflict
    const { status, ended } = taken
    const outcome = uid !== event.uid ? 'duplicate' : status === 'superseded' ? status : 'accepted'
    return { outcome, uid, ...(ended !== undefined && { ended }) }
  }
}

export type Conflict = Receipt & { readonly outcome: 'conflict' }

export const isConflict = (result: AppendResult): result is Conflict =>
  'outcome' in result && result.outcome === 'conflict'
