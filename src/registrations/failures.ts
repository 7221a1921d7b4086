import { HoldfastError } from '../domain/errors.ts'
import { parseJson, valueAt } from '../domain/json.ts'
import { MAX_INLINE_BYTES } from '../domain/limits.ts'
import type { ConnectedSource } from '../domain/source.ts'

/** Characters of a provider's or a module's own words that are passed on. */
const MAX_MESSAGE_LENGTH = 300

/** Where errors say what was wrong: Stripe and OpenAI, GitHub (the reason beside the title), and what others do. */
const MESSAGE_PATHS = ['error.message', 'message', 'errors.0.message', 'error', 'detail']

export const failed = ({ name, provider, redact }: ConnectedSource, what: string): HoldfastError =>
  new HoldfastError('provider_failed', clip(redact(`${provider.name}, for source ${name}: ${what}`)))

export const notFound = ({ name, redact }: ConnectedSource, id: string): HoldfastError =>
  new HoldfastError('registration_not_found', redact(`source ${name} has no registration ${id.toWellFormed()}`))

/** The module threw where it was to make a request: something that it goes by is not as it needs it. */
export function notMade({ name, provider, redact }: ConnectedSource, thrown: unknown): HoldfastError {
  const words = thrown instanceof Error && typeof thrown.message === 'string' ? inOneLine(redact(thrown.message)) : ''
  const what = `provider ${provider.name}, for source ${name}: its module cannot make the request`
  return new HoldfastError('not_configured', clip(redact(`${what}${words === '' ? '' : `: ${words}`}`)))
}

/** What an answer says went wrong, in one line. Redacted first: a secret that was smoothed would not be known as one. */
export function wordsOf({ redact }: ConnectedSource, body: Buffer): string {
  // What goes wrong is never told at length.
  const parsed = body.length > MAX_INLINE_BYTES ? undefined : parseJson(body)
  if (parsed?.ok !== true) return ''
  const words = MESSAGE_PATHS.map((path) => valueAt(parsed.value, path)).filter((text) => typeof text === 'string')
  return inOneLine(redact([...new Set(words)].join(': ')))
}

const inOneLine = (text: string): string => text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim()

/** After redaction, never before: half a secret would not be known as one. */
const clip = (text: string): string =>
  text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH)}…`
