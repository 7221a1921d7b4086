import type { EventSummary } from '../../../domain/event.ts'
import type { EventDetail, EventStore } from '../../../domain/event-store.ts'
import { type Html, html, own } from '../html/html.ts'
import { type MarkName, mark } from '../html/marks.ts'
import { payloadDiff } from '../html/payload-diff.ts'
import { show } from '../html/show.ts'
import { bytes, duration } from '../html/words.ts'
import { jsonOf, MAX_PARSED_BYTES, type Payload } from './event-payload.ts'
import type { Story } from './event-story.ts'

/** What stands beside an event: one that came under the same id or ended the same task. */
export interface Beside {
  readonly event: Pick<EventSummary, 'uid' | 'type' | 'receivedAtMs' | 'sizeBytes' | 'status'>
  /** What the two have in common. */
  readonly by: 'id' | 'task'
  /** Undefined: it cannot be read, or is too long to be compared. */
  readonly body: Uint8Array | undefined
}

const SAMPLE = 10

/** The event that an event in conflict or superseded lost to, or the superseded one that lost to this. */
export async function besideOf(store: EventStore, { event, task }: Story): Promise<Beside | undefined> {
  const found = await other()
  if (found === undefined) return undefined
  const isShort = Math.max(found.event.sizeBytes, event.sizeBytes) <= MAX_PARSED_BYTES
  const body = isShort ? await store.body(found.event.uid).catch(() => undefined) : undefined
  return { ...found, body }

  async function other(): Promise<Omit<Beside, 'body'> | undefined> {
    if (event.status === 'conflict') {
      const first = (await sameId({ type: event.type })) ?? (await sameId({}))
      return first && { event: first, by: 'id' }
    }
    if (event.task === undefined) return undefined
    if (event.status === 'superseded') {
      const uid = task?.eventUid ?? undefined
      const winner = uid === undefined || uid === event.uid ? undefined : await store.event(uid)
      return winner && { event: winner, by: 'task' }
    }
    const filter = { source: event.source, task: event.task, status: 'superseded' } as const
    const loser = (await store.events(filter, { limit: 1 })).items[0]
    return loser && { event: loser, by: 'task' }
  }

  /** Newest first: the last of those that came before. */
  async function sameId(more: { readonly type?: string }): Promise<EventSummary | undefined> {
    const filter = { source: event.source, q: event.id.slice(0, 256), untilMs: event.receivedAtMs + 1, ...more }
    const { items } = await store.events(filter, { limit: SAMPLE })
    const same = items.filter(({ id, uid, status }) => id === event.id && uid !== event.uid && status !== 'quarantined')
    return same.find(({ status }) => status !== 'conflict') ?? same[0]
  }
}

const MARKS: Readonly<Record<EventSummary['status'], MarkName>> = {
  accepted: 'stored',
  unhandled: 'none',
  quarantined: 'warning',
  conflict: 'warning',
  superseded: 'none',
}

/** The other event, and what its payload differs in: − the older, + the newer. */
export function besideCard({ event }: Story, payload: Payload, { event: other, by, body: otherBody }: Beside): Html {
  const apartMs = other.receivedAtMs - event.receivedAtMs
  const when_ = `${duration(Math.abs(apartMs))} ${apartMs > 0 ? 'later' : 'earlier'}`
  const same = by === 'id' ? html`with the same id` : html`about the same task`
  return html`<section class="card" aria-labelledby="beside"><div class="title"><h2 id="beside">Beside it</h2></div>
<p class="pad small">${mark(MARKS[other.status])} ${own(other.status)}: <a href="/console/events/${own(other.uid)}">${show(other.type, 80)}</a>, ${own(when_)}, ${same}</p>${comparison(event, payload, { other, otherBody })}</section>`
}

function comparison(
  event: EventDetail,
  payload: Payload,
  { other, otherBody }: { readonly other: Beside['event']; readonly otherBody: Uint8Array | undefined },
): Html {
  if (payload.body === undefined || otherBody === undefined)
    return html`<p class="pad small muted">Their payloads cannot be compared: one is longer than ${own(bytes(MAX_PARSED_BYTES))}, or cannot be read.</p>`
  const [mine, others] = [payload.json(), jsonOf(otherBody)]
  if (mine === undefined || others === undefined)
    return html`<p class="pad small muted">Their payloads cannot be compared: one is not JSON, or has too many values.</p>`
  const isNewer = event.receivedAtMs >= other.receivedAtMs
  return isNewer ? payloadDiff(others, mine) : payloadDiff(mine, others)
}
