import type { NewEvent } from '../../src/domain/event.ts'
import type { ModelEvent } from './model-delivery.ts'

type Known =
  | { readonly outcome: 'duplicate'; readonly event: ModelEvent }
  | { readonly outcome: 'conflict'; readonly event?: ModelEvent }

/**
 * As what an event is known among those that were kept; undefined: it is new. A conflict that is new has no event. `answered`
 * is the uid that the store under test gave: of several events that were quarantined with one body it may name any, or go by
 * the judgement of the last one alone, also before it sees what came in the same batch; of several in conflict it may name any,
 * where one that was quarantined has come into conflict by a replay. Where retention has deleted the last of those events, the
 * store may know none of the others (`isReplaced`).
 */
export function knownAs(kept: readonly ModelEvent[], given: NewEvent, answered: string | undefined): Known | undefined {
  const ofSource = kept.filter((event) => event.given.source === given.source)
  const ofId = ofSource.filter((event) => event.given.id === given.id)
  const sameBody = (event: ModelEvent) => isSameBody(event.given, given)
  const byBody = given.dedupe === 'body' ? ofSource.filter((event) => event.isKnownByBody && sameBody(event)) : []
  const first = ofId.find(({ standing }) => standing === 'first')
  const same =
    (first !== undefined && sameBody(first) ? first : undefined) ??
    byBody.find(({ standing }) => standing !== 'not understood')
  const quarantined = [...byBody, ...ofId.filter(sameBody)].filter(({ standing }) => standing === 'not understood')
  const judged = quarantined.filter(({ judgements }) => given.unjudged?.some((name) => judgements.has(name)))
  const again = given.status === 'quarantined' ? quarantined : judged
  const named = again.find((event) => event.given.uid === answered)
  if (same !== undefined) return { outcome: 'duplicate', event: judged.find((event) => event === named) ?? same }
  const one = named ?? again[0]
  const isReplaced = again.every((event) => event.isReplaced)
  const isForgotten =
    answered === given.uid && (isReplaced || (given.status !== 'quarantined' && quarantined.length > 1))
  if (one !== undefined && !isForgotten) return { outcome: 'duplicate', event: one }
  if (given.status === 'quarantined' || first === undefined) return undefined

  const conflicts = ofId.filter((event) => event.standing === 'conflicting' && sameBody(event))
  const isNew = answered === given.uid && conflicts.every((event) => event.given.status === 'quarantined')
  const conflict = isNew ? undefined : (conflicts.find((event) => event.given.uid === answered) ?? conflicts[0])
  return { outcome: 'conflict', ...(conflict !== undefined && { event: conflict }) }
}

/** An event that was quarantined takes its id, or tells which event has it, or its body. */
export function understand(event: ModelEvent, kept: readonly ModelEvent[]): ModelEvent | undefined {
  const understood = kept.filter(
    ({ given, standing }) => given.source === event.given.source && standing !== 'not understood',
  )
  const body = event.isKnownByBody ? understood.find((other) => hasBodyOf(other, event)) : undefined
  const taker = body ?? understood.find(({ given, standing }) => standing === 'first' && given.id === event.given.id)
  event.standing = taker === undefined ? 'first' : 'conflicting'
  event.isKnownByBody &&= taker === undefined
  return taker
}

/** A quarantined event that no handler has taken, or may yet, gives its id up. */
export function givesUpId({ standing, status, given, deliveries }: ModelEvent): boolean {
  const isWebhook = given.origin !== 'poll'
  return (
    standing === 'first' &&
    status === 'quarantined' &&
    isWebhook &&
    deliveries.every(({ state }) => state === 'dead' || state === 'discarded')
  )
}

/** Events that were quarantined with the bytes of this one, which is quarantined now. */
export function replaceQuarantined({ given }: ModelEvent, kept: readonly ModelEvent[]): void {
  for (const event of kept)
    if (event.standing === 'not understood' && event.given.source === given.source && isSameBody(event.given, given))
      event.isReplaced = true
}

/** The first of those in conflict about an id that may take it. */
export function successorOf(before: ModelEvent, kept: readonly ModelEvent[]): ModelEvent | undefined {
  const { source, id } = before.given
  const ofSource = kept.filter(({ given }) => given.source === source)
  return ofSource
    .filter(({ given, standing, status }) => given.id === id && standing === 'conflicting' && status !== 'quarantined')
    .find(
      (event) =>
        !before.isKnownByBody ||
        !ofSource.some((other) => other.standing !== 'not understood' && hasBodyOf(other, event)),
    )
}

const hasBodyOf = (other: ModelEvent, event: ModelEvent): boolean =>
  other.isKnownByBody && isSameBody(other.given, event.given)

const isSameBody = (a: NewEvent, b: NewEvent): boolean => Buffer.from(a.body).equals(b.body)
