import type { DatabaseSync } from 'node:sqlite'
import { firstDeliveryKey, lastDeliveryKey } from '../shared/deliveries.ts'
import { CONFLICTING, FIRST, NOT_UNDERSTOOD, type Variant } from '../shared/events.ts'
import type { Damage } from './damage.ts'
import { conflictHash, firstHash, type IdentityIndex, type Named, namedOf, variantHash } from './identity-index.ts'
import type { Row } from './statement-cache.ts'
import type { IncomingEvent } from './thread-event.ts'

/** Whether an event is known; if it is new, the variant as which it is to be stored. */
type Standing =
  | { readonly kind: 'new'; readonly variant: Variant }
  | { readonly kind: 'duplicate'; readonly key: number; readonly uid: string; readonly dead?: readonly string[] }
  | { readonly kind: 'conflict'; readonly key: number; readonly uid: string }

/** The part of a stored event that identifies it. */
export interface Identity extends Named {
  readonly key: number
  readonly uid: string
  readonly byBody: boolean
}

/** The identities of events by source, id and body: the rules of `EventStore.append` and `DeliveryQueue.replay`. */
export interface Identities {
  readonly standingOf: (event: IncomingEvent, checksum: string) => Standing
  /**
   * Makes an event that was not understood an understood one, which takes its id. If another event has the id or the body,
   * returns the uid of that event, and this event is in conflict.
   */
  readonly understand: (eventKey: number) => string | undefined
  /**
   * Makes an event give its id up if it is quarantined and all its deliveries are dead. Returns the identity of the event;
   * undefined if the event keeps its id (as an event from a poll always does), or has none.
   */
  readonly disown: (eventKey: number) => Identity | undefined
  /** The uid of the event that has the id. */
  readonly holderOf: (source: string, id: string) => string | undefined
  /** The understood events that are in conflict about an id, in order of arrival. */
  readonly inConflict: (source: string, id: string) => Iterable<Identity>
  /**
   * Lets one of those events take the id, which no event has now. Returns false if another event has its body; then the event
   * stays in conflict.
   */
  readonly takeId: (event: Identity, byBody: boolean) => boolean
}

export function prepareIdentities(db: DatabaseSync, dedupe: IdentityIndex, damage: Damage): Identities {
  const index = prepareIdentityLookup(db, dedupe)
  const { byKey, find, findAll, findBody, become } = index
  const findJudged = prepareFindJudged(db, index, damage)
  const deliveries = prepareDeadDeliveries(db, damage)

  const duplicateOf = ({ key, uid }: Identity): Standing => {
    const dead = deliveries.deadHandlers(key)
    return { kind: 'duplicate', key, uid, ...(dead.length > 0 && { dead }) }
  }

  return {
    standingOf(event, checksum) {
      const { source, id, status, taskLease, unjudged } = event
      const isUnderstood = status !== 'quarantined'
      // An event that was made under the lease of a task is identified by that lease, whatever ids webhooks have.
      if (taskLease !== null) return { kind: 'new', variant: isUnderstood ? FIRST : NOT_UNDERSTOOD }
      const byBody = event.byBody === 1
      const first = find(firstHash(source, id), source, id, FIRST)
      if (first?.checksum === checksum) return duplicateOf(first)
      const same = byBody ? findBody(source, checksum, true) : undefined
      if (same !== undefined) return duplicateOf(same)
      if (!isUnderstood) {
        const known = byBody ? findBody(source, checksum, false) : undefined
        const again = known ?? find(variantHash(source, id, checksum), source, id, NOT_UNDERSTOOD, checksum)
        return again === undefined ? { kind: 'new', variant: NOT_UNDERSTOOD } : duplicateOf(again)
      }
      const judged = unjudged === null ? undefined : findJudged(event, checksum, unjudged)
      if (judged !== undefined) return duplicateOf(judged)
      if (first === undefined) return { kind: 'new', variant: FIRST }
      const again = find(variantHash(source, id, checksum), source, id, CONFLICTING, checksum)
      return again === undefined
        ? { kind: 'new', variant: CONFLICTING }
        : { kind: 'conflict', key: again.key, uid: again.uid }
    },

    understand(eventKey) {
      const row = byKey(eventKey)
      if (row === undefined) return undefined
      const event = identityOf(row)
      const { source, id, checksum, byBody } = event
      const first = find(firstHash(source, id), source, id, FIRST)
      const same = byBody ? findBody(source, checksum, true) : undefined
      if (first === undefined && same === undefined) become(event, FIRST)
      else become(event, CONFLICTING, false)
      return (same ?? first)?.uid
    },

    disown(eventKey) {
      const row = byKey(eventKey)
      if (row?.status !== 'quarantined' || row.variant !== FIRST || row.origin === 'poll') return undefined
      if (!deliveries.areAllDead(eventKey)) return undefined
      const event = identityOf(row)
      become(event, NOT_UNDERSTOOD)
      return event
    },

    holderOf: (source, id) => find(firstHash(source, id), source, id, FIRST)?.uid,
    *inConflict(source, id) {
      for (const row of findAll(conflictHash(source, id), source, id, CONFLICTING))
        if (row.status !== 'quarantined') yield identityOf(row)
    },

    takeId(event, byBody) {
      if (byBody && findBody(event.source, event.checksum, true) !== undefined) return false
      become(event, FIRST, byBody)
      return true
    },
  }
}

type IdentityLookup = ReturnType<typeof prepareIdentityLookup>

/** Finds events by the hashes of their identity, and by their bodies. */
function prepareIdentityLookup(db: DatabaseSync, dedupe: IdentityIndex) {
  const select = db.prepare(
    'SELECT key, uid, source, id, variant, checksum, status, origin, created_at_source, by_body FROM event WHERE key = ?',
  )
  const withBody = db.prepare(
    'SELECT key, uid, source, id, variant, checksum, by_body FROM event WHERE by_body = 1 AND source = ? AND checksum = ?',
  )
  const setVariant = db.prepare('UPDATE event SET variant = ?, by_body = ? WHERE key = ?')

  function* findAll(hash: number, source: string, id: string, variant: Variant, checksum?: string): Generator<Row> {
    for (const key of dedupe.find(hash)) {
      const row = select.get(key)
      if (row === undefined || row.variant !== variant || row.source !== source || row.id !== id) continue
      if (checksum === undefined || row.checksum === checksum) yield row
    }
  }

  function find(hash: number, source: string, id: string, variant: Variant, checksum?: string): Identity | undefined {
    for (const row of findAll(hash, source, id, variant, checksum)) {
      if (variant !== FIRST || !isOfOldRule(row)) return identityOf(row)
      // An earlier release stored this event, and let quarantined events take their ids: the event gives its id up when it is
      // found.
      become(identityOf(row), NOT_UNDERSTOOD)
    }
    return undefined
  }

  function become(event: Identity, variant: Variant, byBody = event.byBody): void {
    setVariant.run(variant, byBody ? 1 : null, event.key)
    dedupe.rename(event.key, event, { ...event, variant })
  }

  function allWithBody(source: string, checksum: string, isUnderstood: boolean): readonly Identity[] {
    const rows = withBody.all(source, checksum).map(identityOf)
    return rows.filter(({ variant }) => (variant !== NOT_UNDERSTOOD) === isUnderstood)
  }

  return {
    byKey: (key: number): Row | undefined => select.get(key),
    find,
    findAll,
    become,
    allWithBody,
    findBody: (source: string, checksum: string, isUnderstood: boolean): Identity | undefined =>
      allWithBody(source, checksum, isUnderstood)[0],
  }
}

/** Finds an event with the same bytes that one of these judgements has quarantined. */
function prepareFindJudged(db: DatabaseSync, { findAll, allWithBody }: IdentityLookup, damage: Damage) {
  const wasJudged = db.prepare(`
    SELECT 1 FROM attempt WHERE delivery BETWEEN ? AND ? AND outcome = 'rejected'
      AND json_extract(detail, '$.judgement') IN (SELECT value FROM json_each(?)) LIMIT 1
  `)

  /** If the history of an event lies on a damaged page, the event counts as not judged, and the new event is judged again. */
  const isJudgedBy = (eventKey: number, judgements: string): boolean =>
    damage.around(
      'the history of event',
      eventKey,
      () => wasJudged.get(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey), judgements) !== undefined,
      () => false,
    )

  return (event: IncomingEvent, checksum: string, unjudged: readonly string[]): Identity | undefined => {
    const { source, id } = event
    const judgements = JSON.stringify(unjudged)
    const same = [...findAll(variantHash(source, id, checksum), source, id, NOT_UNDERSTOOD, checksum)].map(identityOf)
    const known = event.byBody === 1 ? allWithBody(source, checksum, false) : []
    return [...same, ...known].find(({ key }) => isJudgedBy(key, judgements))
  }
}

function prepareDeadDeliveries(db: DatabaseSync, damage: Damage) {
  const unlessDead = db.prepare(
    "SELECT 1 FROM delivery WHERE key BETWEEN ? AND ? AND state NOT IN ('dead', 'discarded') LIMIT 1",
  )
  const dead = db.prepare("SELECT handler FROM delivery WHERE key BETWEEN ? AND ? AND state = 'dead' ORDER BY key")
  return {
    areAllDead: (eventKey: number): boolean =>
      unlessDead.get(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)) === undefined,
    deadHandlers: (eventKey: number): readonly string[] =>
      damage.around(
        'the deliveries of event',
        eventKey,
        () => dead.all(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)).map(({ handler }) => String(handler)),
        () => [],
      ),
  }
}

/** A quarantined event of an earlier release, which let it take its id. Such an event has no `created_at_source`. */
const isOfOldRule = ({ status, created_at_source }: Row): boolean =>
  status === 'quarantined' && created_at_source === null

const identityOf = (row: Row): Identity => ({
  ...namedOf(row),
  key: Number(row.key),
  uid: String(row.uid),
  byBody: row.by_body === 1,
})
