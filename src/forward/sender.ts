import {
  answerLine,
  beginningOf,
  giveAnswer,
  MAX_ORIGIN_LENGTH,
  MAX_SENT_ANSWER_LENGTH,
  type ServiceAnswer,
} from '../domain/answer.ts'
import type { WebhookEvent } from '../domain/event.ts'
import type { Handler, HandlerContext } from '../domain/handler.ts'
import { retryAfterOf } from '../domain/retry-after.ts'
import { MAX_RETRY_AFTER_MS } from '../domain/retry-or-dead.ts'
import { VERSION } from '../domain/version.ts'
import { redactor } from '../log/redact.ts'
import { createPoster, type Posted } from '../outbound/poster.ts'
import { hmac } from '../signatures/hmac.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { keysOf, type Target } from './options.ts'

/** A shorter value of a header or a query is not taken for a secret. */
const MIN_SECRET_LENGTH = 6
/** A shorter part of the path is a word, and not a token. */
const MIN_TOKEN_LENGTH = 16

type Event = WebhookEvent<string, unknown>

/** The handler that `forward` gives. */
export function createSender(target: Target): Handler<Event> {
  const { url, headers, secrets, finalStatuses } = target
  const post = createPoster(target)
  const textOf = textsWithout(secretsIn(target))
  return async (event, context) => {
    const body = event.raw()
    const sent = { ...headersOf(event, context), ...headers, ...signatureOf(secrets, event.uid, body) }
    const answer = await post(sent, body, context.signal)
    if (!answer.ok) throw new Error(`${url.origin}: ${answer.message}${adviceOn(answer.failure)}`)
    const { status, durationMs } = answer
    const text = textOf(answer)
    const given: ServiceAnswer = {
      from: url.origin.slice(0, MAX_ORIGIN_LENGTH),
      status,
      durationMs,
      ...(text !== '' && { text }),
    }
    giveAnswer(context, given)
    if (status >= 200 && status < 300) return
    const error =
      status < 400 ? `${url.origin} answered ${status}${redirectTo(answer.headers.location, url)}` : answerLine(given)
    if (finalStatuses.has(status)) context.fail(error)
    const waitMs = status < 400 ? undefined : retryAfterOf(answer.headers, Date.now(), MAX_RETRY_AFTER_MS)
    if (waitMs === undefined || waitMs === 0) throw new Error(error)
    context.log.warn({ status, error, retry_after_ms: waitMs }, 'the service asks for a later attempt')
    context.retryAfter(waitMs)
  }
}

function headersOf(event: Event, { attempt }: HandlerContext): Record<string, string> {
  return {
    'content-type': event.headers['content-type'] ?? 'application/json',
    'user-agent': `holdfast/${VERSION}`,
    'accept-encoding': 'identity',
    'holdfast-source': inAscii(event.source),
    'holdfast-type': inAscii(event.type),
    'holdfast-attempt': String(attempt),
  }
}

/** Header values are ASCII; other characters are escaped as in a URL. */
const inAscii = (text: string): string => text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent)

/** One signature for each key, in the order of the secrets. Without a secret, the same headers without a signature. */
function signatureOf(secrets: readonly string[], id: string, body: Buffer): Record<string, string> {
  const nowMs = Date.now()
  const signed = secrets.flatMap((secret) =>
    keysOf(secret).map((key) => hmac.sign({ ...standardWebhooks, key }, secret, { id, body, nowMs }).headers),
  )
  const values = signed.map((each) => each['webhook-signature'])
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(nowMs / 1_000)),
    ...(values.length > 0 && { 'webhook-signature': values.join(' ') }),
  }
}

const adviceOn = (failure: string): string =>
  failure === 'forbidden_address' ? ' allowPrivate: true allows addresses of private networks.' : ''

/** Only the host: a path or a query may hold a secret. */
function redirectTo(location: string | undefined, base: URL): string {
  const to = location === undefined ? null : URL.parse(location, base)
  return to === null ? '' : ` and leads to ${to.host}: redirects are not followed`
}

/** What may be secret in a request: a service may give it back in its answer. */
const secretsIn = ({ secrets, headers, url }: Target): readonly string[] => [
  ...secrets,
  ...[...Object.values(headers), ...url.searchParams.values()]
    .flatMap((value) => [value, ...value.split(/\s+/), ...basicOf(value)])
    .filter(({ length }) => length >= MIN_SECRET_LENGTH),
  ...url.pathname.split('/').filter(({ length }) => length >= MIN_TOKEN_LENGTH),
]

/** The user with the password, and the password, that a value of `authorization` has (RFC 7617). */
function basicOf(value: string): readonly string[] {
  const [, encoded] = /^basic\s+(\S+)/i.exec(value) ?? []
  if (encoded === undefined) return []
  const pair = Buffer.from(encoded, 'base64').toString()
  return [pair, pair.slice(pair.indexOf(':') + 1)]
}

/** The most characters that stand for one of a secret, where it is encoded, and the escapes of JSON or HTML are undone. */
const MAX_ENCODED_LENGTH = 3
/** Such an escape may be cut itself. */
const MAX_ESCAPE_LENGTH = 6
/** Of a text, one character in so many may be no character of a text. */
const CHARACTERS_PER_FAULT = 3

/** Gives the beginning of an answer's body in one line; empty if there is none, or none that is text. */
function textsWithout(secrets: readonly string[]) {
  const redact = redactor(secrets)
  // Where the body was cut, a part of a secret may stand, which would not be found.
  const unsafeLength =
    MAX_ESCAPE_LENGTH + MAX_ENCODED_LENGTH * Math.max(0, ...secrets.map((secret) => Buffer.byteLength(secret)))
  return ({ beginning, isCut, headers }: Posted): string => {
    if (!['', 'identity'].includes(headers['content-encoding'] ?? '')) return ''
    const text = beginning.toString()
    if (!isText(text)) return ''
    const plain = unescaped(text)
    const read = isPage(text, headers['content-type']) ? wordsOf(redact(plain)) : plain
    const safe = isCut ? read.slice(0, Math.max(0, read.length - unsafeLength)) : read
    const line = redact(safe)
      .replace(/[\p{C}\p{Z}\ufffd]+/gu, ' ')
      .trim()
    return beginningOf(line, MAX_SENT_ANSWER_LENGTH)
  }
}

/** With the escapes of JSON that must be, and no others: a secret could be spelt in those. */
const unescaped = (text: string): string =>
  text.replace(/(?<=(?<!\\)(?:\\\\)*)(?:\\\/|\\u[\da-f]{4})+/gi, (run) =>
    JSON.stringify(JSON.parse(`"${run}"`)).slice(1, -1),
  )

const isPage = (text: string, type = ''): boolean =>
  /^text\/html\b/i.test(type) || /^\s*<(?:!doctype )?html\b/i.test(text)

/** The words of a page, such as a proxy answers by. A secret could be spelt in its character references. */
const wordsOf = (page: string): string =>
  page
    .replace(/<(script|style)\b.*?(?:<\/\1>|$)|<!--.*?(?:-->|$)|<[^>]*(?:>|$)/gis, ' ')
    .replace(/&(?:#(\d{1,6})|#x([\da-f]{1,5})|(amp|lt|gt|quot|apos|nbsp));/gi, (_reference, decimal, hex, name) =>
      name === undefined ? String.fromCodePoint(decimal ?? `0x${hex}`) : (NAMED[String(name).toLowerCase()] ?? ' '),
    )

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** A picture or an archive is none, whatever its content type says. */
const isText = (text: string): boolean =>
  !text.includes('\0') && (text.split('\ufffd').length - 1) * CHARACTERS_PER_FAULT <= text.length
