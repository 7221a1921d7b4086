import type { Config } from '../domain/config.ts'
import type { Headers } from '../domain/event.ts'

/** Replaces a secret. */
const REPLACEMENT = '[redacted]'
/** A shorter secret occurs inside too many words to be replaced there. */
const MIN_LENGTH = 6
/** Control and format characters, which could hide a secret in a text. */
const INVISIBLE = /[\p{Cc}\p{Cf}]+/gu

/**
 * Gives a function that removes these secrets from a text, in upper and lower case, plain and encoded: for a URL, as base64 or as
 * hex. If one of the secrets is too short for that, a text that contains any of them is replaced as a whole. A text without secrets
 * is returned unchanged.
 */
export function redactor(secrets: readonly (string | undefined)[]): (text: string) => string {
  const given = secrets.filter((secret): secret is string => secret !== undefined && secret !== '')
  const variants = [...new Set(given.flatMap(spellings))].toSorted((one, other) => other.length - one.length)
  const isShort = given.some((secret) => secret.length < MIN_LENGTH)
  const inBase64 = new Set(given.flatMap(withoutScheme).flatMap(base64Spellings))
  const forms = variants.map((each) =>
    inBase64.has(each) ? `${BASE64_BEFORE}${RegExp.escape(each)}${BASE64_AFTER}` : RegExp.escape(each),
  )
  const pattern = new RegExp(forms.join('|') || '(?!)', 'gi')
  return (text) => {
    if (isShort) return given.some((secret) => text.includes(secret)) ? REPLACEMENT : text
    const visible = text.replace(INVISIBLE, '')
    return visible.search(pattern) < 0 ? text : visible.replace(pattern, REPLACEMENT)
  }
}

/** The characters before and after the searched part that may also belong to the secret in base64. */
const BASE64_BEFORE = '[\\w+/-]{0,4}'
const BASE64_AFTER = '[\\w+/-]{0,3}={0,2}'

const withoutScheme = (secret: string): readonly string[] =>
  secret.startsWith('whsec_') ? [secret, secret.slice('whsec_'.length)] : [secret]

const base64Spellings = (text: string): readonly string[] => [...base64(text), ...base64(`Bearer ${text}`)]

/** The forms in which a secret, or the key that it encodes, may occur in a text. */
function spellings(secret: string): readonly string[] {
  const plain = withoutScheme(secret)
  const written = plain.flatMap((text) => [
    text,
    text.replace(/=+$/, ''),
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
    // Node decodes the bytes of headers as Latin-1.
    Buffer.from(text, 'utf8').toString('latin1'),
    hex(Buffer.from(text)),
    ...base64Spellings(text),
  ])
  return [...written, ...plain.flatMap(keySpellings)]
}

/** Bytes of the shortest key that is searched for: the encodings of a shorter one occur in too many words. */
const MIN_KEY_BYTES = 16

function keySpellings(text: string): readonly string[] {
  const key = Buffer.from(text, /^[0-9a-f]+$/i.test(text) ? 'hex' : 'base64')
  if (key.length < MIN_KEY_BYTES || !/^[\w+/-]+={0,2}$/.test(text)) return []
  return [hex(key), key.toString('base64').replace(/=+$/, ''), key.toString('base64url')]
}

const hex = (bytes: Buffer): string => bytes.toString('hex')

/** The part of the encoded text that does not depend on the characters before and after it. */
const base64 = (text: string): readonly string[] =>
  [0, 1, 2]
    .flatMap((offset) => {
      const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)])
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
      return (['base64', 'base64url'] as const).map((form) => whole.toString(form).slice(offset === 0 ? 0 : 4))
    })
    .filter((each) => each.length >= MIN_LENGTH)

/** Removes secrets from the headers of a request and from log lines, by their value, at every place. */
export interface SecretFilter {
  /** Cleans names and values of headers. Gives the same object if there is no secret in them. */
  readonly headers: (headers: Headers) => Headers
  /** Cleans one log line. Does not remove short secrets, which may be ordinary words of the line. */
  readonly line: (line: string) => string
}

/** Secrets and encodings shorter than this are searched for only as whole words, or not at all: they occur inside other words. */
const MIN_SECRET_LENGTH = 12
const MIN_SPELLING_LENGTH = 8
/** How many header names without a secret are remembered. */
const MAX_KNOWN_NAMES = 256

/** All secrets by which sources verify, including old ones, their API keys, and the operators' tokens. */
export const secretsIn = ({ sources, opsTokens, opsReadTokens }: Config): readonly string[] =>
  [...sources.flatMap(({ secrets, apiKey }) => [...secrets, apiKey]), ...opsTokens, ...opsReadTokens].filter(
    (secret): secret is string => secret !== undefined && secret !== '',
  )

/** The secrets by which sources verify, and which senders may therefore send. */
export const sentSecretsIn = ({ sources }: Pick<Config, 'sources'>): readonly string[] =>
  sources.flatMap(({ secrets }) => secrets)

const isShort = ({ length }: string): boolean => length < MIN_SECRET_LENGTH

/**
 * Makes one pass over each text and skips most of it: a request's headers take a microsecond or two. Searches for a short secret
 * only if senders send it (`sent`): an operators' token `test`, or an API key `push`, is also a word that senders use, and events are
 * read by such words.
 */
export function createSecretFilter(secrets: readonly string[], sent: readonly string[] = secrets): SecretFilter {
  const long = secrets.filter((secret) => !isShort(secret))
  const short = new Set(secrets.filter(isShort))
  const words = new Set(sent.filter(isShort))
  const encoded = secrets.flatMap((secret) => spellings(secret).filter((spelling) => !short.has(spelling)))
  const holdsOne = finder(encoded.filter(({ length }) => length >= MIN_SPELLING_LENGTH))
  const takeOut = redactor(long)

  const isFound = (text: string): boolean =>
    holdsOne(text) || (text.includes('%') && holdsOne(unescaped(text))) || (words.size > 0 && hasWord(text, words))

  const known = new Set<string>()
  function isNameFound(name: string): boolean {
    if (known.has(name)) return false
    const found = isFound(name)
    if (!found && known.size < MAX_KNOWN_NAMES) known.add(name)
    return found
  }

  function cleaned(text: string): string {
    const left = takeOut(text)
    return isFound(left) ? REPLACEMENT : left
  }

  const clean = (text: string): string => (isFound(text) ? cleaned(text) : text)

  return {
    line: (line) => (holdsOne(line) ? `${takeOut(line.trimEnd())}\n` : line),
    headers(headers) {
      for (const name in headers) {
        if (isNameFound(name) || isFound(headers[name] ?? '')) return cleanHeaders(headers, clean)
      }
      return headers
    },
  }
}

/** How many secrets a growing filter knows; it forgets the oldest first. */
const MAX_KNOWN_SECRETS = 1_000

/** A filter of log lines that learns secrets later: a reload brings new ones, and messages may still have the old ones. */
export function createGrowingFilter(first: readonly string[]) {
  let known: ReadonlySet<string> = new Set()
  let clean = (line: string): string => line
  const keepOut = (secrets: readonly string[]): void => {
    const all = known.difference(new Set(secrets)).union(new Set(secrets))
    const hasNew = all.size > known.size
    known = new Set([...all].slice(-MAX_KNOWN_SECRETS))
    if (hasNew) clean = createSecretFilter([...known]).line
  }
  keepOut(first)
  return { line: (line: string): string => clean(line), keepOut }
}

function cleanHeaders(headers: Headers, clean: (text: string) => string): Headers {
  const cleanOnes: Record<string, string> = Object.create(null)
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined) cleanOnes[clean(name)] = clean(value)
  }
  return cleanOnes
}

const SEPARATORS = /[\s,;:="'&?]+/

const hasWord = (text: string, words: ReadonlySet<string>): boolean =>
  words.has(text) || text.split(SEPARATORS).some((word) => words.has(word))

/** Decodes what is escaped; other `%` characters stay. */
const unescaped = (text: string): string =>
  text.replace(/(?:%[\da-f]{2})+/gi, (escaped) => Buffer.from(escaped.replaceAll('%', ''), 'hex').toString('latin1'))

/**
 * Gives a function that finds whether a text contains any of the needles, in upper or lower case. Wu and Manber's search
 * (TR-94-17) by blocks of two characters: if a block is in no needle, the search skips it.
 */
function finder(needles: readonly string[]): (text: string) => boolean {
  const lowered = [...new Set(needles.map((needle) => needle.toLowerCase()))]
  const window = Math.min(...lowered.map(({ length }) => length), 255)
  if (lowered.length === 0) return () => false
  const shifts = new Uint8Array(65_536).fill(window - 1)
  const byBlock = new Map<number, string[]>()
  for (const needle of lowered) {
    for (let at = 1; at < window; at++) {
      const block = blockAt(needle, at)
      shifts[block] = Math.min(shifts[block] ?? 0, window - 1 - at)
    }
    const last = blockAt(needle, window - 1)
    byBlock.set(last, [...(byBlock.get(last) ?? []), needle])
  }
  return (text) => {
    if (text.length < window) return false
    const searched = text.toLowerCase()
    for (let at = window - 1; at < searched.length; ) {
      const block = blockAt(searched, at)
      const shift = shifts[block] as number
      if (shift === 0 && byBlock.get(block)?.some((needle) => searched.startsWith(needle, at - window + 1))) return true
      at += Math.max(1, shift)
    }
    return false
  }
}

/** Characters outside Latin-1 share blocks with others, which costs time but not correctness. */
const blockAt = (text: string, at: number): number =>
  ((text.charCodeAt(at - 1) & 0xff) << 8) | (text.charCodeAt(at) & 0xff)
