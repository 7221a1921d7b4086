import {
  type BesideEvent,
  type EventDetail,
  type EventStore,
  MAX_BESIDE,
  type Relation,
} from '../../../domain/event-store.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { type MarkName, mark } from '../html/marks.ts'
import { payloadDiff } from '../html/payload-diff.ts'
import { show } from '../html/show.ts'
import { bytes, duration } from '../html/words.ts'
import type { Visit } from '../routes.ts'
import { jsonOf, MAX_PARSED_BYTES, type Payload, urlOf } from './event-payload.ts'
import type { Story } from './event-story.ts'
import { madeOf } from './task-timeline.ts'

/** What stands beside an event: those that came under the same id or ended the same task. */
export interface Beside {
  readonly all: readonly BesideEvent[]
  /** The one whose payload is compared with this one's. */
  readonly compared: BesideEvent
  /** Undefined: it cannot be read, or is too long to be compared. */
  readonly body: Uint8Array | undefined
}

/** The events beside one, and of these one to compare: the one that the page's URL names, or the first. */
export async function besideOf(
  store: Pick<EventStore, 'beside' | 'body'>,
  event: EventDetail,
  { query }: Pick<Visit, 'query'>,
): Promise<Beside | undefined> {
  const all = await store.beside(event.uid)
  const [first] = all
  if (first === undefined) return undefined
  const asked = query.get('beside')
  const compared = all.find((each) => each.event.uid === asked) ?? first
  const isShort = Math.max(compared.event.sizeBytes, event.sizeBytes) <= MAX_PARSED_BYTES
  const body = isShort ? await store.body(compared.event.uid).catch(() => undefined) : undefined
  return { all, compared, body }
}

const MARKS: Readonly<Record<BesideEvent['event']['status'], MarkName>> = {
  accepted: 'stored',
  unhandled: 'none',
  quarantined: 'warning',
  conflict: 'warning',
  superseded: 'none',
}

const RELATIONS: Readonly<Record<Relation, string>> = {
  has_id: 'which has the id, with another body',
  same_id: 'with the same id and another body',
  ended_task: 'which ended the task',
  same_task: 'about the same task, which had ended',
}

/** The other events, and what the payload of one of them differs in: − the older, + the newer. */
export function besideCard(visit: Visit, { event }: Story, payload: Payload, { all, compared, body }: Beside): Html {
  const isOne = all.length === 1
  const aboutTask = all.filter(({ relation }) => relation === 'ended_task' || relation === 'same_task').length
  const aboutId = all.length - aboutTask
  const isCut = aboutId >= MAX_BESIDE || aboutTask >= MAX_BESIDE
  const title = aboutTask === 0 ? 'Under the same id' : aboutId === 0 ? 'About the same task' : 'Beside it'
  const one = (each: BesideEvent): Html => {
    const link = html`<a href="${own(compareUrl(visit, event, each))}">compare</a>`
    const isCompared = each === compared
    return html`<li${when(isCompared && !isOne, () => CURRENT)}>${line(event, each)}${when(!isOne, () => html` · ${isCompared ? html`<b>compared below</b>` : link}`)}</li>`
  }
  return html`<section class="card" aria-labelledby="beside"><div class="title"><h2 id="beside">${own(title)}</h2></div>
<ul class="beside pad small">${all.map(one)}</ul>${when(isCut, () => html`<p class="pad small muted">There may be earlier ones: the last ten are named.</p>`)}${comparison(event, payload, compared.event, body)}</section>`
}

const CURRENT = html` aria-current="true"`

const compareUrl = (visit: Visit, event: EventDetail, { event: { uid } }: BesideEvent): string =>
  urlOf(visit, event, { beside: uid }).replace(/#payload$/, '#beside')

function line({ receivedAtMs }: EventDetail, { relation, event: other }: BesideEvent): Html {
  const apartMs = other.receivedAtMs - receivedAtMs
  const when_ = `${duration(Math.abs(apartMs))} ${apartMs > 0 ? 'later' : 'earlier'}`
  const asked = other.origin === 'poll' ? own(`, ${madeOf(other)}`) : NOTHING
  return html`${mark(MARKS[other.status])} ${own(other.status)}: <a href="/console/events/${own(other.uid)}">${show(other.type, 80)}</a>, ${own(when_)}, ${own(RELATIONS[relation])}${asked}`
}

function comparison(
  event: EventDetail,
  payload: Payload,
  other: BesideEvent['event'],
  otherBody: Uint8Array | undefined,
): Html {
  if (payload.body === undefined || otherBody === undefined)
    return html`<p class="pad small muted">Their payloads cannot be compared: one is longer than ${own(bytes(MAX_PARSED_BYTES))}, or cannot be read.</p>`
  const [mine, others] = [payload.json(), jsonOf(otherBody)]
  if (mine === undefined || others === undefined)
    return html`<p class="pad small muted">Their payloads cannot be compared: one is not JSON, or has too many values.</p>`
  const isNewer = event.receivedAtMs >= other.receivedAtMs
  return isNewer ? payloadDiff(others, mine) : payloadDiff(mine, others)
}
