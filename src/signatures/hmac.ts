import { Type } from '@sinclair/typebox'
import { messageOf } from '../domain/errors.ts'
import type { Written } from '../domain/provider.ts'
import { compileTemplate, digest } from './hmac-template.ts'
import { compileHmac } from './hmac-verifier.ts'
import { closed, HeaderName, type Message, type SignatureScheme, type SignedParts, Text } from './signature-scheme.ts'

/** Bytes of the shortest key that is accepted. Source: Standard Webhooks, which requires 24 to 64. */
const MIN_KEY_BYTES = 24

const HeaderNames = Type.Union([HeaderName, Type.Array(HeaderName, { minItems: 1 })])

const schema = Type.Object(
  {
    scheme: Type.Literal('hmac'),
    algorithm: Type.TemplateLiteral('${sha1|sha256|sha512}'),
    /**
     * How a configured secret becomes the key: as UTF-8; as base64 or hex; `whsec`: base64 after an optional `whsec_`
     * (Standard Webhooks); `whsec-or-utf8`: base64 after `whsec_`, UTF-8 without it (OpenAI).
     */
    key: Type.TemplateLiteral('${utf8|base64|hex|whsec|whsec-or-utf8}'),
    /** Literal text with `{id}`, `{timestamp}`, `{body}`, `{url}` (the configured public URL) and `{header:name}`. */
    signed: Text,
    /** The header that `{id}` comes from; of several, the first that the request has. */
    id: Type.Optional(HeaderNames),
    signature: Type.Object(
      {
        header: HeaderNames,
        encoding: Type.TemplateLiteral('${hex|base64}'),
        /** Between several entries of one header value, e.g. `" "` or `","`. */
        separator: Type.Optional(Text),
        /** Between an entry's label and its value, e.g. `","` in `v1,…` or `"="` in `v1=…`. Absent: entries have no label. */
        labelSeparator: Type.Optional(Text),
        /** Labels whose value is such a signature; entries with other labels are ignored. */
        labels: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
      },
      closed,
    ),
    timestamp: Type.Optional(
      Type.Object(
        {
          /** A header (of several, the first that the request has), a label in the signature header, or a path in the body. */
          from: Type.Union([
            Type.Object({ header: HeaderNames }, closed),
            Type.Object({ label: Text }, closed),
            Type.Object({ body: Text }, closed),
          ]),
          unit: Type.TemplateLiteral('${s|ms|rfc3339}'),
          pastSeconds: Type.Number({ exclusiveMinimum: 0 }),
          /** `null`: no bound. */
          futureSeconds: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
        },
        closed,
      ),
    ),
  },
  closed,
)

/**
 * HMAC over a template, compared in constant time. Headers that the template names are included byte for byte.
 */
export interface HmacScheme extends Written<typeof schema> {}

function faults({ signed, id, signature, timestamp }: HmacScheme): readonly string[] {
  const found: string[] = []
  try {
    compileTemplate(signed)
  } catch (error) {
    found.push(messageOf(error))
  }
  const signs = (name: string): boolean => signed.includes(`{${name}}`)
  if (!signs('body')) found.push('the template signs no {body}')
  if (signs('id') !== (id !== undefined)) found.push('{id} and the header it comes from go together')
  const isApart = timestamp !== undefined && !('body' in timestamp.from)
  if (signs('timestamp') !== isApart) found.push('{timestamp} and where it comes from go together')
  const { separator, labelSeparator, labels = [] } = signature
  if (labels.length > 0 !== (labelSeparator !== undefined)) found.push('labels and their labelSeparator go together')
  if (timestamp !== undefined && 'label' in timestamp.from) {
    if (separator === undefined || labelSeparator === undefined)
      found.push('a timestamp among the signatures needs their separator and labelSeparator')
    if (labels.includes(timestamp.from.label)) found.push('the label of the timestamp is that of a signature too')
  }
  return found
}

/** What Standard Webhooks writes before a secret. */
export const STANDARD_PREFIX = 'whsec_'

/** Verifies nothing. */
const NO_KEY = Buffer.alloc(0)

function keyOf({ key: form }: HmacScheme, secret: string): Buffer | undefined {
  switch (form) {
    case 'utf8':
      return Buffer.from(secret, 'utf8')
    case 'hex':
      return decodeHex(secret)
    case 'base64':
      return decodeBase64(secret)
    case 'whsec':
      return decodeBase64(secret.startsWith(STANDARD_PREFIX) ? secret.slice(STANDARD_PREFIX.length) : secret)
    case 'whsec-or-utf8':
      return secret.startsWith(STANDARD_PREFIX)
        ? decodeBase64(secret.slice(STANDARD_PREFIX.length))
        : Buffer.from(secret, 'utf8')
  }
}

const HEX = /^(?:[0-9a-fA-F]{2})+$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Strict: refuses characters that `Buffer` would skip. */
const decodeHex = (text: string): Buffer | undefined => (HEX.test(text) ? Buffer.from(text, 'hex') : undefined)

/** Strict: requires padding and the standard alphabet; refuses characters that `Buffer` would skip. */
const decodeBase64 = (text: string): Buffer | undefined =>
  text.length > 0 && BASE64.test(text) ? Buffer.from(text, 'base64') : undefined

function sign(scheme: HmacScheme, secret: string, { id, body, headers = {}, url = '', nowMs }: Message): SignedParts {
  const key = keyOf(scheme, secret)
  if (key === undefined) throw new TypeError('the secret is not of the form that the scheme asks for')
  const { signature: form, timestamp: window } = scheme
  const timestamp = window === undefined ? '' : formatTime(nowMs, window.unit)
  const parts = { id, timestamp, url, headers, body }
  const value = digest(scheme.algorithm, key, compileTemplate(scheme.signed), parts).toString(form.encoding)

  const entries = [
    form.labelSeparator === undefined ? value : `${form.labels?.[0] ?? ''}${form.labelSeparator}${value}`,
  ]
  const sent: Record<string, string> = {}
  if (scheme.id !== undefined) sent[firstOf(scheme.id)] = id
  if (window !== undefined && 'header' in window.from) sent[firstOf(window.from.header)] = timestamp
  if (window !== undefined && 'label' in window.from)
    entries.unshift(`${window.from.label}${form.labelSeparator ?? ''}${timestamp}`)
  sent[firstOf(form.header)] = entries.join(form.separator ?? '')
  return { headers: sent, query: '' }
}

const firstOf = (names: string | readonly string[]): string => (typeof names === 'string' ? names : (names[0] ?? ''))

type Unit = NonNullable<HmacScheme['timestamp']>['unit']

function formatTime(nowMs: number, unit: Unit): string {
  if (unit === 'rfc3339') return new Date(nowMs).toISOString()
  return String(unit === 's' ? Math.floor(nowMs / 1000) : nowMs)
}

/** The timestamp, if the scheme has it in the body: a number unless it is RFC 3339. */
function bodyFields({ timestamp }: HmacScheme, _secret: string, nowMs: number): Readonly<Record<string, unknown>> {
  if (timestamp === undefined || !('body' in timestamp.from)) return {}
  const text = formatTime(nowMs, timestamp.unit)
  return { [timestamp.from.body]: timestamp.unit === 'rfc3339' ? text : Number(text) }
}

export const hmac = {
  name: 'hmac',
  schema,
  minKeyBytes: MIN_KEY_BYTES,
  faults,
  keyOf,
  secretForm: ({ key }) => (key === 'hex' ? 'hexadecimal' : 'valid base64'),
  secretHeaders: () => [],
  signsUrl: ({ signed }) => signed.includes('{url}'),
  compile: (scheme, secrets, url) =>
    compileHmac(
      scheme,
      secrets.map((secret) => keyOf(scheme, secret) ?? NO_KEY),
      url,
    ),
  sign,
  bodyFields,
} as const satisfies SignatureScheme<HmacScheme>
