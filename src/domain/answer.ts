/** What a service answered to an attempt that posted its event there (`forward`). Of several answers, the last. */
export interface ServiceAnswer {
  /** The origin of its URL: the path may hold a secret. */
  readonly from: string
  readonly status: number
  /** From the request until the status came. */
  readonly durationMs: number
  /** The beginning of its body in one line, without secrets. Absent: the body is empty, or no text. */
  readonly text?: string
}

/** Characters of the body that are kept with an attempt. */
export const MAX_ANSWER_LENGTH = 500
/** Those that a handler process sends: more than are kept, so that no secret of the service is cut in two before it is found. */
export const MAX_SENT_ANSWER_LENGTH = 1_000
export const MAX_ORIGIN_LENGTH = 300
/** Characters of the body that an error shows. */
const MAX_EXCERPT_LENGTH = 200

/** The beginning of a text, and a mark if there is more of it. */
export const beginningOf = (text: string, maxLength: number): string =>
  text.length <= maxLength ? text : `${text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '')}…`

/** An answer as an attempt keeps it, and nothing else that the object may have. */
export const keptAnswer = (
  { from, status, durationMs, text }: ServiceAnswer,
  redact: (text: string) => string,
): ServiceAnswer => ({
  from: redact(from),
  status,
  durationMs: Math.round(durationMs),
  ...(text !== undefined && { text: beginningOf(redact(text), MAX_ANSWER_LENGTH) }),
})

/** An answer in one line, as errors have it. */
export const answerLine = ({ from, status, text }: Omit<ServiceAnswer, 'durationMs'>): string =>
  `${from} answered ${status}${text === undefined ? '' : `: ${beginningOf(reasonIn(text), MAX_EXCERPT_LENGTH)}`}`

/** Members in which APIs say in words what is wrong: RFC 9457 has `detail` and `title`. */
const REASONS = ['error_description', 'message', 'detail', 'error', 'reason', 'title']

/** What a JSON object says is wrong, if it says it in such a member: causes of failures are told apart by it. Otherwise the text. */
function reasonIn(text: string): string {
  if (!text.startsWith('{')) return text
  try {
    const answer = JSON.parse(text) as Readonly<Record<string, unknown>>
    const inner = answer.error as Readonly<Record<string, unknown>> | null | undefined
    const found = [...REASONS.map((name) => answer[name]), inner?.message].find(isReason)
    return found === undefined ? text : found.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
  } catch {
    return text
  }
}

const isReason = (value: unknown): value is string => typeof value === 'string' && value.trim() !== ''

/** What an error says beside the answer: what stands next to the answer need not repeat it. Undefined: nothing. */
export function errorBeside(error: string | undefined, answer: ServiceAnswer | undefined): string | undefined {
  if (error === undefined || answer === undefined) return error
  const line = answerLine(answer)
  if (error === line) return undefined
  return error.endsWith(`; ${line}`) ? error.slice(0, -line.length - 2) : error
}

/** Where the context of an attempt takes the answer. Not for handlers of users. */
export const TAKE_ANSWER = Symbol.for('holdfast.takeAnswer')

/** A context that is not the service's own, as in a user's test, takes none. */
export function giveAnswer(context: object, answer: ServiceAnswer): void {
  const { [TAKE_ANSWER]: take } = context as { readonly [TAKE_ANSWER]?: (answer: ServiceAnswer) => void }
  take?.(answer)
}
