import type { Settlement } from '../../domain/delivery.ts'
import { eventKeyOf } from '../common/keys.ts'
import { joinedReasons } from '../common/quarantine.ts'
import type { Connections, Row } from './connections.ts'
import { fromText, toText } from './text.ts'

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
 * again, and says the same.
 */
export async function quarantineEvents(connections: Connections, settlements: readonly Settlement[]): Promise<void> {
  for (const { deliveryId, lease, quarantine } of settlements) {
    if (quarantine === undefined) continue
    const key = eventKeyOf(deliveryId)
    await connections.transaction(async (query) => {
      const [event] = await query<Held>(HOLD, [key, deliveryId, toText(lease)])
      if (event === undefined) return
      const stored = event.reasons === null ? null : fromText(event.reasons)
      await query(QUARANTINE, [key, toText(joinedReasons(event.status, stored, quarantine))])
    })
  }
}
