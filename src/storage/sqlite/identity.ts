import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { CONFLICTING, type EventRow, FIRST, NOT_UNDERSTOOD, type Variant } from '../common/event-row.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import { type Dedupe, firstHash, variantHash } from './dedupe.ts'

/** Whether an event is known, and as what it is to be kept if it is not. */
export type Standing =
  | { readonly kind: 'new'; readonly variant: Variant }
  | { readonly kind: 'duplicate'; readonly uid: string; readonly dead?: readonly string[] }
  | { readonly kind: 'conflict'; readonly uid: string }

/** As much of a stored event as tells its identity. */
interface Identity {
  readonly key: number
  readonly source: string
  readonly id: string
  readonly checksum: string
  readonly byBody: boolean
}

type Known = Identity & { readonly uid: string; readonly variant: Variant }

/** What is known of sources, ids and bodies: the rules of `Store.append` and `Store.replay`. */
export interface Identities {
  readonly standingOf: (event: EventRow, checksum: string) => Standing
  /**
   * An event that was not understood when it came is now: it takes its id. Gives the uid of the event that has it, or its body,
   * already: this one is in conflict then.
   */
  readonly understand: (event: Identity) => string | undefined
  /**
   * What was quarantined by its handlers' processes, before any of its handlers ran, gives its id up, unless it was asked
   * for. Another event's id is not touched.
   */
  readonly disown: (eventKey: number) => void
}

export function prepareIdentities(db: DatabaseSync, dedupe: Dedupe): Identities {
  const select = db.prepare(
    'SELECT key, uid, source, id, variant, checksum, status, origin, created_at_source, by_body FROM event WHERE key = ?',
  )
  const withBody = db.prepare(
    'SELECT key, uid, source, id, variant, checksum, by_body FROM event WHERE by_body = 1 AND source = ? AND checksum = ?',
  )
  const setVariant = db.prepare('UPDATE event SET variant = ?, by_body = ? WHERE key = ?')
  const unlessDead = db.prepare("SELECT 1 FROM delivery WHERE key BETWEEN ? AND ? AND state <> 'dead' LIMIT 1")
  const deadOf = db.prepare("SELECT handler FROM delivery WHERE key BETWEEN ? AND ? AND state = 'dead' ORDER BY key")

  function find(hash: number, source: string, id: string, variant: Variant, checksum?: string): Known | undefined {
    for (const key of dedupe.find(hash)) {
      const row = select.get(key)
      if (row === undefined || row.variant !== variant || row.source !== source || row.id !== id) continue
      if (checksum !== undefined && row.checksum !== checksum) continue
      if (variant !== FIRST || !isOfOldRule(row)) return knownOf(row)
      giveUpId(knownOf(row))
    }
    return undefined
  }

  /** What was quarantined by a release that let it take its id gives it up when it is looked for. */
  function giveUpId({ key, source, id, checksum, byBody }: Identity): void {
    setVariant.run(NOT_UNDERSTOOD, byBody ? 1 : null, key)
    dedupe.move(key, firstHash(source, id), variantHash(source, id, checksum))
  }

  function hasOnlyDead(eventKey: number): boolean {
    return unlessDead.get(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)) === undefined
  }

  function findBody(source: string, checksum: string, isUnderstood: boolean): Known | undefined {
    const rows = withBody.all(source, checksum).map(knownOf)
    return rows.find(({ variant }) => (variant !== NOT_UNDERSTOOD) === isUnderstood)
  }

  function duplicateOf({ key, uid }: Known): Standing {
    const dead = deadOf.all(firstDeliveryKey(key), lastDeliveryKey(key)).map(({ handler }) => String(handler))
    return { kind: 'duplicate', uid, ...(dead.length > 0 && { dead }) }
  }

  return {
    standingOf(event, checksum) {
      const [, source, , id, , , , , status, , , , , , , , , , asked] = event
      const isUnderstood = status !== 'quarantined'
      // What was asked for is known by its lease, whatever webhooks call themselves.
      if (asked !== null) return { kind: 'new', variant: isUnderstood ? FIRST : NOT_UNDERSTOOD }
      const byBody = event[22] === 1
      const first = find(firstHash(source, id), source, id, FIRST)
      if (first?.checksum === checksum) return duplicateOf(first)
      const same = byBody ? findBody(source, checksum, true) : undefined
      if (same !== undefined) return duplicateOf(same)
      if (!isUnderstood) {
        const known = byBody ? findBody(source, checksum, false) : undefined
        const again = known ?? find(variantHash(source, id, checksum), source, id, NOT_UNDERSTOOD, checksum)
        return again === undefined ? { kind: 'new', variant: NOT_UNDERSTOOD } : duplicateOf(again)
      }
      if (first === undefined) return { kind: 'new', variant: FIRST }
      const again = find(variantHash(source, id, checksum), source, id, CONFLICTING, checksum)
      return again === undefined ? { kind: 'new', variant: CONFLICTING } : { kind: 'conflict', uid: again.uid }
    },

    understand({ key, source, id, checksum, byBody }) {
      const first = find(firstHash(source, id), source, id, FIRST)
      const same = byBody ? findBody(source, checksum, true) : undefined
      if (first === undefined && same === undefined) {
        setVariant.run(FIRST, byBody ? 1 : null, key)
        dedupe.move(key, variantHash(source, id, checksum), firstHash(source, id))
        return undefined
      }
      setVariant.run(CONFLICTING, null, key)
      return (same ?? first)?.uid
    },

    disown(eventKey) {
      const event = select.get(eventKey)
      if (event?.status !== 'quarantined' || event.variant !== FIRST || event.origin === 'poll') return
      if (hasOnlyDead(eventKey)) giveUpId(knownOf(event))
    },
  }
}

/** It has no `created_at_source`. */
const isOfOldRule = ({ status, created_at_source }: Readonly<Record<string, SQLOutputValue>>): boolean =>
  status === 'quarantined' && created_at_source === null

const knownOf = (row: Readonly<Record<string, SQLOutputValue>>): Known => ({
  key: Number(row.key),
  uid: String(row.uid),
  source: String(row.source),
  id: String(row.id),
  variant: Number(row.variant) as Variant,
  checksum: String(row.checksum),
  byBody: row.by_body === 1,
})
