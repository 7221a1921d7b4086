import type { Settlement } from '../../domain/delivery.ts'
import { FIRST, NOT_UNDERSTOOD } from '../common/event-row.ts'
import { eventKeyOf, firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import { joinedReasons } from '../common/quarantine.ts'
import type { Connections, Row } from './connections.ts'
import { fromText, toText } from './text.ts'
import { unlessDamaged } from './unreadable.ts'

interface Held extends Row {
  readonly status: string
  readonly reasons: string | null
}

/** Locked as a replay locks it; only while the delivery is still under its lease. */
const HOLD = `
  SELECT status, reasons FROM event
  WHERE key = $1 AND EXISTS (SELECT FROM delivery WHERE delivery.key = $2 AND delivery.lease = $3) FOR UPDATE
`
const QUARANTINE = "UPDATE event SET status = 'quarantined', reasons = $2 WHERE key = $1"

/**
 * Quarantines the events of which a settlement says so, before their deliveries end: what is cut off between the two runs
 * again, and says the same. One that cannot be written is left as it is, and costs no other delivery its end.
 */
export async function quarantineEvents(connections: Connections, settlements: readonly Settlement[]): Promise<void> {
  for (const { deliveryId, lease, quarantine } of settlements) {
    if (quarantine === undefined) continue
    const key = eventKeyOf(deliveryId)
    const quarantining = connections.transaction(async (query) => {
      const [event] = await query<Held>(HOLD, [key, deliveryId, toText(lease)])
      if (event === undefined) return
      const stored = event.reasons === null ? null : fromText(event.reasons)
      await query(QUARANTINE, [key, toText(joinedReasons(event.status, stored, quarantine))])
    })
    await unlessDamaged(quarantining, undefined)
  }
}

/**
 * The same rule as the embedded store's `disown`. After their deliveries have ended: what is cut off before leaves the id
 * where it was.
 */
const DISOWN = {
  name: 'disown',
  text: `
    WITH event AS (
      UPDATE event AS x SET variant = ${NOT_UNDERSTOOD}
      WHERE x.key = $1 AND x.status = 'quarantined' AND x.variant = ${FIRST} AND x.origin <> 'poll'
        AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.key BETWEEN $2 AND $3 AND d.state <> 'dead')
      RETURNING x.key, x.source, x.id, x.checksum, x.by_body
    ),
    given AS (
      DELETE FROM event_key AS k USING event AS e
      WHERE k.source = e.source AND k.id = e.id AND k.variant = '' AND k.event = e.key
    ),
    taken AS (
      INSERT INTO event_key (source, id, variant, event)
      SELECT e.source, e.id, 'q'::bytea || e.checksum, e.key FROM event AS e ON CONFLICT DO NOTHING
    ),
    body AS (
      DELETE FROM body_key AS b USING event AS e
      WHERE b.source = e.source AND b.checksum = e.checksum AND b.is_understood AND b.event = e.key
    )
    INSERT INTO body_key SELECT e.source, e.checksum, false, e.key FROM event AS e WHERE e.by_body = 1 ON CONFLICT DO NOTHING
  `,
}

/** What was quarantined before any of its handlers ran gives its id up, unless it was asked for. */
export async function disownQuarantined(connections: Connections, settlements: readonly Settlement[]): Promise<void> {
  for (const { deliveryId, quarantine } of settlements) {
    if (quarantine === undefined) continue
    const key = eventKeyOf(deliveryId)
    await unlessDamaged(connections.run('lease', DISOWN, [key, firstDeliveryKey(key), lastDeliveryKey(key)]), [])
  }
}
