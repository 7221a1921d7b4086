import type { Task } from '../../../domain/task.ts'
import type { Question } from '../../../domain/task-question.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { show } from '../html/show.ts'
import { counted, duration, time } from '../html/words.ts'
import type { Moment } from './moment-list.ts'

/** Questions of one fold that are listed. */
const MAX_LISTED = 50
const MAX_WORD = 80
const MAX_ERROR = 300

export const times = (count: number): string => (count === 1 ? 'once' : counted(count, 'time'))

/** Lines of questions on a page: with more, those after the first are left out. */
const MAX_LINES = 30

/** What the provider was asked about a task; those in the middle that had the same answer are one. */
export function questionMoments(task: Task, questions: readonly Question[], nowMs: number): readonly Moment[] {
  const last = questions.length - 1
  const runs: (readonly Question[])[] = []
  for (let at = 0; at <= last; ) {
    const question = questions[at] as Question
    let end = at + 1
    while (at > 0 && end < last && isSame(question, questions[end] as Question)) end++
    const isFold = end - at > 2
    runs.push(isFold ? questions.slice(at, end) : [question])
    at = isFold ? end : at + 1
  }
  const left = runs.length > MAX_LINES ? runs.splice(1, runs.length - MAX_LINES + 1) : []
  const idOf = idsByTime()
  const moments = runs.map((run) => {
    const id = idOf(run[0] as Question)
    return run.length > 1 ? fold(run, id, nowMs) : one(run[0] as Question, id)
  })
  return [...forgotten(task, questions), ...moments.slice(0, 1), ...leftOut(task, left.flat()), ...moments.slice(1)]
}

/** The store keeps the last questions of a task, and of earlier ones their number. */
function forgotten({ polls, staleAtMs }: Task, questions: readonly Question[]): readonly Moment[] {
  const count = polls - questions.filter(({ kind }) => kind === 'poll').length
  if (count <= 0) return []
  return [
    {
      id: 'q-before',
      atMs: questions[0]?.atMs ?? staleAtMs,
      mark: 'asked',
      title: html`The provider was asked ${own(times(count))}${own(questions.length > 0 ? ' before' : '')}`,
      detail: () => html`<p>what it answered then is not kept</p>`,
    },
  ]
}

function leftOut({ source, uid }: Task, questions: readonly Question[]): readonly Moment[] {
  const [first] = questions
  if (first === undefined) return []
  return [
    {
      id: 'q-left',
      atMs: first.atMs,
      mark: 'note',
      title: html`Asked ${own(times(questions.length))} more`,
      detail: () => html`<p><code>holdfast tasks show ${show(source, 60)} ${own(uid)}</code> has each answer</p>`,
    },
  ]
}

const isSame = (one: Question, other: Question): boolean =>
  one.kind === other.kind &&
  one.by === other.by &&
  one.outcome === other.outcome &&
  one.providerStatus === other.providerStatus &&
  one.error === other.error

/** Of questions whose times were brought back to the time of the store's clock, many have the same. */
function idsByTime(): (question: Question) => string {
  const given = new Map<number, number>()
  return ({ atMs }) => {
    const before = given.get(atMs) ?? 0
    given.set(atMs, before + 1)
    return `q-${Math.round(atMs)}${before === 0 ? '' : `-${before}`}`
  }
}

const markOf = ({ kind, outcome }: Question): Moment['mark'] =>
  outcome === 'unusable' || (outcome === 'ended' && kind === 'submission') ? 'failing' : 'asked'

function one(question: Question, id: string): Moment {
  const { atMs, durationMs, outcome } = question
  const took = `${outcome === 'unusable' ? 'after' : 'it answered in'} ${duration(durationMs)}`
  const end = outcome === 'ended' && question.kind === 'poll' ? ', which ended the task' : ''
  return {
    id,
    atMs,
    mark: markOf(question),
    title: html`${answerTo(question)}${own(end)}`,
    detail: () => html`<p>${wrong(question)}${own(took)}${own(askedBy(question))}</p>`,
  }
}

function fold(questions: readonly Question[], id: string, nowMs: number): Moment {
  const [first, last] = [questions[0] as Question, questions.at(-1) as Question]
  const lengths = questions.map(({ durationMs }) => durationMs)
  const [shortest, longest] = [duration(Math.min(...lengths)), duration(Math.max(...lengths))]
  const waits = questions.slice(1).map(({ atMs }, at) => atMs - (questions[at]?.atMs ?? atMs))
  return {
    id,
    atMs: first.atMs,
    mark: markOf(first),
    title: html`${answerTo(first)}, ${own(times(questions.length))} over ${own(duration(last.atMs - first.atMs))}`,
    detail: () =>
      html`<p>${wrong(first)}${own(shortest === longest ? '' : `${shortest} to `)}${own(longest)} each · at most ${own(duration(Math.max(...waits)))} apart · the last at ${time(last.atMs, nowMs)}${own(askedBy(first))}</p>${eachOf(questions, id, nowMs)}`,
  }
}

function eachOf(questions: readonly Question[], id: string, nowMs: number): Html {
  const listed = questions.slice(-MAX_LISTED)
  const items = listed.map(({ atMs, durationMs }) => html`<li>${time(atMs, nowMs)} · ${own(duration(durationMs))}</li>`)
  const which = listed.length < questions.length ? `the last ${listed.length}` : `all ${listed.length}`
  return html`<details id="${own(id)}-all"><summary>Show ${own(which)}</summary><ol class="tries">${items}</ol></details>`
}

const wrong = ({ error }: Question): Html =>
  error === undefined ? NOTHING : html`<span class="warn">${show(error, MAX_ERROR)}</span> · `

const askedBy = ({ by }: Question): string => (by === 'operator' ? ' · asked by an operator' : '')

const SUBMITTED: Readonly<Record<Question['outcome'], string>> = {
  pending: 'the provider took it',
  ended: 'the task failed',
  unusable: 'no usable answer',
}

function answerTo({ kind, by, outcome, providerStatus }: Question): Html {
  if (kind === 'submission') return html`Submitted${own(by === 'caller' ? '' : ' again')}: ${own(SUBMITTED[outcome])}`
  if (outcome === 'unusable') return html`Asked: no usable answer`
  return providerStatus === undefined
    ? html`The provider answered`
    : html`The provider said “${show(providerStatus, MAX_WORD)}”`
}
