import { checksumOf } from '../../domain/checksum.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/store.ts'
import type { Connections, Row } from './connections.ts'
import { toText } from './text.ts'
import { unlessDamaged } from './unreadable.ts'

/** The same bytes, quarantined by one of these judgements; unless they are known otherwise. */
const JUDGED = {
  name: 'judged',
  text: `
    SELECT x.uid, (
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

interface JudgedRow extends Row {
  readonly uid: string
  /** JSON. */
  readonly dead: string | null
}

/** Of an event whose judgement is left to its handlers' processes: what it is a duplicate of, having been judged before. */
export function createFindJudged(connections: Connections) {
  return async ({ source, id, body, dedupe, unjudged, asked }: NewEvent): Promise<Receipt | undefined> => {
    if (unjudged === undefined || asked !== undefined) return undefined
    const checksum = Buffer.from(await checksumOf(body), 'hex')
    const values = [source, toText(id), checksum, dedupe === 'body', unjudged]
    // Where that cannot be read, it is judged again.
    const [seen] = await unlessDamaged(connections.run<JudgedRow>('append', JUDGED, values), [])
    if (seen === undefined) return undefined
    // Again in a transaction that vouches: the first one may be on its way to a standby yet.
    const [judged] = await connections.transaction((query) => query<JudgedRow>(JUDGED, values), 'append')
    if (judged === undefined) return undefined
    const { uid, dead } = judged
    return { outcome: 'duplicate', uid, ...(dead !== null && { dead: JSON.parse(dead) as string[] }) }
  }
}
