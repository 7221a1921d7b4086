import { errorBeside, MAX_ANSWER_LENGTH } from '../../../domain/answer.ts'
import type { Attempt, AttemptOutcome } from '../../../domain/delivery.ts'
import type { ErrorDetail } from '../../../domain/errors.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { show } from '../html/show.ts'
import { counted, duration, time, whole } from '../html/words.ts'
import type { Delivery, Story } from './event-story.ts'
import { trace } from './event-trace.ts'
import type { Moment } from './moment-list.ts'

/** Attempts of one fold that are listed. */
const MAX_LISTED = 50
const MAX_ERROR = 300

/** The attempts of a delivery; those in the middle that failed in the same way are one. */
export function attemptsOf(delivery: Delivery, place: number, story: Story): readonly Moment[] {
  const { history } = delivery
  const last = history.length - 1
  const moments: Moment[] = []
  for (let at = 0; at <= last; ) {
    const attempt = history[at] as Attempt
    let end = at + 1
    while (at > 0 && end < last && isSame(attempt, history[end] as Attempt)) end++
    const id = `m-${place}-${at}`
    moments.push(
      end - at > 2
        ? fold(delivery.handler, history.slice(at, end), id, story)
        : one(delivery, attempt, { id, isLast: at === last }, story),
    )
    at = end - at > 2 ? end : at + 1
  }
  return moments
}

const isSame = (one: Attempt, other: Attempt): boolean =>
  one.outcome !== 'succeeded' &&
  one.outcome === other.outcome &&
  one.replay === other.replay &&
  (one.cause ?? one.error) === (other.cause ?? other.error)

function fold(handler: string, attempts: readonly Attempt[], id: string, { nowMs }: Story): Moment {
  const [first, last] = [attempts[0] as Attempt, attempts.at(-1) as Attempt]
  const lengths = attempts.map(({ durationMs }) => durationMs)
  const waits = attempts.slice(1).map(({ startedAtMs }, at) => startedAtMs - (attempts[at]?.startedAtMs ?? startedAtMs))
  return {
    id,
    atMs: first.startedAtMs,
    mark: 'failing',
    title: html`${show(handler, 60)}, attempts ${own(`${first.number} to ${last.number}`)}, the same error`,
    detail:
      () => html`<p>over ${own(duration(last.startedAtMs - first.startedAtMs))} · ${own(duration(Math.min(...lengths)))} to ${own(duration(Math.max(...lengths)))} each · at most ${own(duration(Math.max(...waits)))} apart</p>
<p>${show(first.error ?? first.outcome, MAX_ERROR)}</p>
${tries(attempts, id, nowMs)}`,
  }
}

function tries(attempts: readonly Attempt[], id: string, nowMs: number): Html {
  const [first] = attempts
  const items = attempts.slice(0, MAX_LISTED).map(({ number, startedAtMs, durationMs, error }) => {
    const other = when(error !== first?.error, () => html` · ${show(error ?? '', 80)}`)
    return html`<li>${number}. ${time(startedAtMs, nowMs, 'milliseconds')} · ${own(duration(durationMs))}${other}</li>`
  })
  const rest = attempts.length - items.length
  return html`<details id="${own(id)}-all"><summary>Show ${own(counted(attempts.length, 'attempt'))}</summary><ol class="tries">${items}${when(rest > 0, () => html`<li>and ${own(whole(rest))} more</li>`)}</ol></details>`
}

/** How an attempt ended; `isTimed`: the words are followed by how long it took. */
const ENDS: Readonly<Record<AttemptOutcome, { readonly words: string; readonly isTimed: boolean }>> = {
  succeeded: { words: 'succeeded in', isTimed: true },
  failed: { words: 'failed after', isTimed: true },
  rejected: { words: 'gave up after', isTimed: true },
  retry_after: { words: 'asked for a later attempt, after it had run for', isTimed: true },
  timeout: { words: 'was stopped at its deadline after', isTimed: true },
  process_lost: { words: 'lost its process after', isTimed: true },
  thread_lost: { words: 'lost its thread after', isTimed: true },
  lease_lost: { words: 'was lost: the service ended, or lost its lease', isTimed: false },
  released: { words: 'was put back, and does not count', isTimed: false },
  body_corrupt: { words: 'did not run: the stored bytes do not match their checksum', isTimed: false },
}

function one(
  { handler, state, history }: Delivery,
  attempt: Attempt,
  { id, isLast }: { readonly id: string; readonly isLast: boolean },
  story: Story,
): Moment {
  const { number, outcome, startedAtMs, durationMs } = attempt
  const { words, isTimed } = ENDS[outcome]
  const isDone = outcome === 'succeeded'
  const isDead = isLast && state === 'dead'
  const isOnly = isDone && history.length === 1
  const numbered = isOnly ? '' : `, attempt ${number},`
  return {
    id,
    atMs: startedAtMs,
    mark: isDone ? 'succeeded' : isDead ? 'dead' : outcome === 'released' ? 'replayed' : 'failing',
    title: html`${show(handler, 60)}${own(`${numbered} ${words}${isTimed ? ` ${duration(durationMs)}` : ''}${isDead ? ': dead' : ''}`)}`,
    detail: () =>
      html`${answered(attempt)}${when(!isDone, () => why(attempt, { id, isOpen: isLast, at: isLast ? story.causes.get(handler)?.at : undefined }))}`,
  }
}

interface Shown {
  readonly id: string
  readonly isOpen: boolean
  /** Where in the user's code. */
  readonly at: string | undefined
}

/** What the service answered to which the event was posted. */
const answered = ({ answer }: Attempt): Html =>
  answer === undefined
    ? NOTHING
    : html`<p>${show(answer.from, 120)} answered <b>${answer.status}</b> in ${own(duration(answer.durationMs))}</p>${answer.text === undefined ? NOTHING : html`<blockquote class="quoted">${show(answer.text, MAX_ANSWER_LENGTH + 1)}</blockquote>`}`

/** Whether nothing but its one line is known of the error, which the answer of a service then mostly says as well. */
const isPlain = ({ stack, cause, errors }: ErrorDetail): boolean => [stack, cause, errors].every((part) => !part)

/** The error; of the last attempt with its stack, of others behind a word. */
function why({ error, errorDetail, answer }: Attempt, { id, isOpen, at }: Shown): Html {
  const place = at === undefined ? NOTHING : html`<p>at <code>${show(at, 120)}</code></p>`
  const beside = errorBeside(error ?? errorDetail?.message, answer)
  const line = beside === undefined ? NOTHING : html`<p>${show(beside, MAX_ERROR)}</p>`
  if (errorDetail === undefined || (answer !== undefined && isPlain(errorDetail))) return html`${place}${line}`
  if (isOpen) return html`${place}${trace(errorDetail)}`
  return html`${line}<details id="${own(id)}-stack"><summary>Error and stack</summary>${trace(errorDetail)}</details>`
}
