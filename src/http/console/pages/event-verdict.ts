import { Budget } from '../html/budget.ts'
import { between, type Html, html, NOTHING, own } from '../html/html.ts'
import { show } from '../html/show.ts'
import { capped, counted, duration, time } from '../html/words.ts'
import type { Delivery, Story } from './event-story.ts'
import { UNRUN } from './event-timeline.ts'

/** Handlers that have a sentence of their own. */
const MAX_SENTENCES = 6
/** Characters of an error, and bytes of all sentences. */
const MAX_ERROR = 200
const MAX_BYTES = 6_000

/** What has become of an event, in a sentence for each handler: those that need a person first. */
export function verdict(story: Story): Html {
  const { deliveries, status, reasons } = story.event
  if (deliveries.length === 0) {
    const why = status === 'quarantined' && reasons.length > 0 ? html` ${show(reasons.join('; '), MAX_ERROR)}` : NOTHING
    return html`${own(UNRUN[status])}${why}`
  }
  const rest = deliveries.length - MAX_SENTENCES
  const budget = new Budget(MAX_BYTES)
  const sentences = deliveries
    .toSorted((one, other) => rankOf(one) - rankOf(other))
    .slice(0, MAX_SENTENCES)
    .map((delivery) => {
      const told = (maxError: number) => html`${sentence(delivery, story, maxError)}${others(delivery, story)}`
      return budget.take(told(MAX_ERROR)) ?? told(0)
    })
  return html`${between(sentences, html` `)}${rest > 0 ? own(` And ${counted(rest, 'more handler')}.`) : NOTHING}`
}

const whyOf = (error: string | undefined, max: number): Html =>
  error === undefined || max === 0 ? NOTHING : html`: <code>${show(error, max)}</code>`

const RANKS = ['dead', 'pending', 'running', 'discarded', 'succeeded']
const rankOf = ({ state }: Delivery): number => RANKS.indexOf(state)

/** `maxError`: characters of the error; 0: it is left to the times below. */
function sentence(delivery: Delivery, story: Story, maxError: number): Html {
  const { handler, state, lastError, history } = delivery
  const name = html`<b><a href="/console/handlers/${own(encodeURIComponent(handler))}">${show(handler, 80)}</a></b>`
  const why = whyOf(lastError, maxError)
  switch (state) {
    case 'succeeded':
      return html`${name} succeeded.`
    case 'dead':
      return html`${name} ${tried(delivery)} and gave up${why}.`
    case 'discarded':
      return html`${name} is discarded${why}.`
    case 'running':
      return html`${name} runs now${own(history.length === 0 ? '' : ', again')}.`
    case 'pending':
      return html`${name} ${waiting(delivery, story, maxError)}.`
  }
}

/** How often and for how long, since it was last replayed. */
function tried({ history }: Delivery): Html {
  const last = history.at(-1)
  if (last === undefined) return html`did not run`
  const tries = history.filter(({ replay, outcome }) => replay === last.replay && outcome !== 'released')
  const ms = last.startedAtMs + last.durationMs - (tries[0]?.startedAtMs ?? last.startedAtMs)
  return html`tried ${own(tries.length === 1 ? 'once' : `${counted(tries.length, 'time')} in ${duration(ms)}`)}`
}

function waiting(
  { handler, attempts, dueAtMs, lastError }: Delivery,
  { holds, atOnce, nowMs }: Story,
  maxError: number,
): Html {
  const hold = holds.get(handler)
  if (hold?.why === 'turn') return html`waits for an earlier event with the same order key`
  if (hold?.why === 'gone') return html`waits: no running process has this handler`
  if (hold?.why === 'paused') {
    const { kind, by, sinceMs } = hold.pause
    return html`waits: ${own(kind === 'handler' ? 'it' : 'its source')} is paused by ${show(by, 60)} since ${time(sinceMs, nowMs)}`
  }
  const inMs = dueAtMs - nowMs
  const many = atOnce.get(handler)
  const now = `as soon as there is capacity${many === undefined ? '' : `, ${many} at once`}`
  const next = inMs > 0 ? `in ${duration(inMs)}` : now
  if (attempts === 0) return html`${own(inMs > 0 ? 'runs' : 'waits for its turn: it runs')} ${own(next)}`
  const why = whyOf(lastError, maxError)
  return html`failed ${own(attempts === 1 ? 'once' : counted(attempts, 'time'))} and tries again ${own(next)}${why}`
}

/** How many dead letters have the same cause. */
function others({ handler, state, cause }: Delivery, { causes, event: { source } }: Story): Html {
  const same = state === 'dead' ? causes.get(handler) : undefined
  if (same === undefined || cause === undefined || same.count < 2) return NOTHING
  const url = `/console/dead/list?${new URLSearchParams({ handler, source, cause }).toString()}`
  const count = same.count - 1
  const words = `${capped({ count, more: same.isCapped })} ${count === 1 ? 'other' : 'others'} died the same way`
  return html` <a href="${own(url)}">${own(words)}</a>.`
}
