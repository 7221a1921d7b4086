import type { ErrorDetail } from '../../../domain/errors.ts'
import { Budget } from '../html/budget.ts'
import { type Html, html, own, when } from '../html/html.ts'
import { show } from '../html/show.ts'

/** Errors of one trace, with their causes and parts; bytes of it. */
const MAX_ERRORS = 8
const MAX_BYTES = 10_000
const MAX_MESSAGE = 1_000
const MAX_FRAME = 300

/** A frame of a package, or of Node itself: not of the user's own code. */
const isOfDependency = (frame: string): boolean => /[/\\]node_modules[/\\]|\bnode:/.test(frame)

/** Paths of this project begin where it does. */
const shortened = (frame: string): string => frame.replaceAll(`${process.cwd()}/`, '')

/** What was thrown, with its causes; the frames of the user's own code stand out. */
export function trace(detail: ErrorDetail): Html {
  const budget = new Budget(MAX_BYTES)
  const pieces: Html[] = []
  const waiting: { readonly error: ErrorDetail; readonly link: string }[] = [{ error: detail, link: '' }]
  for (let count = 0; count < MAX_ERRORS; count++) {
    const next = waiting.pop()
    if (next === undefined) break
    const { error, link } = next
    pieces.push(...linesOf(error, link).flatMap((line) => budget.take(line) ?? []))
    for (const part of (error.errors ?? []).toReversed()) waiting.push({ error: part, link: 'one of them: ' })
    if (error.cause !== undefined) waiting.push({ error: error.cause, link: 'because of ' })
  }
  const isWhole = waiting.length === 0 && !budget.isSpent
  return html`<pre class="trace" tabindex="0" role="group" aria-label="Error and stack">${pieces}${when(!isWhole, () => html`<i>… the ops API has the rest</i>`)}</pre>`
}

const linesOf = ({ name, message, code, stack = [] }: ErrorDetail, link: string): readonly Html[] => [
  html`${own(link)}<b>${show(`${name}: ${message}`, MAX_MESSAGE)}</b>${when(code !== undefined && !message.includes(code), () => html` ${show(code ?? '', 60)}`)}
`,
  ...stack.map((frame) =>
    isOfDependency(frame)
      ? html`    ${show(shortened(frame), MAX_FRAME)}
`
      : html`<span class="own">    ${show(shortened(frame), MAX_FRAME)}</span>
`,
  ),
]
