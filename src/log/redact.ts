import type { Config } from '../domain/config.ts'
import type { Headers } from '../domain/event.ts'

/** What stands in place of a secret. */
export const REPLACEMENT = '[redacted]'
/** A shorter one stands in too many words to be taken out of them. */
const MIN_LENGTH = 6
/** Control and format characters, by which a text could be made to look like another. */
const INVISIBLE = /[\p{Cc}\p{Cf}]+/gu

/**
 * Takes these out of a text, in either case, as they are and as they may have been encoded on the way: for a URL, as base64
 * or as hex. Where one is too short for that, nothing of the text is left. A text that holds none comes back as it is.
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

/** What of a secret's ends stands in base64 beside the part that is looked for. */
const BASE64_BEFORE = '[\\w+/-]{0,4}'
const BASE64_AFTER = '[\\w+/-]{0,3}={0,2}'

const withoutScheme = (secret: string): readonly string[] =>
  secret.startsWith('whsec_') ? [secret, secret.slice('whsec_'.length)] : [secret]

const base64Spellings = (text: string): readonly string[] => [...base64(text), ...base64(`Bearer ${text}`)]

/** A secret as it may have been written on the way, and the key that it stands for. */
export function spellings(secret: string): readonly string[] {
  const plain = withoutScheme(secret)
  const written = plain.flatMap((text) => [
    text,
    text.replace(/=+$/, ''),
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
    // Node hands header bytes over as Latin-1.
    Buffer.from(text, 'utf8').toString('latin1'),
    hex(Buffer.from(text)),
    ...base64Spellings(text),
  ])
  return [...written, ...plain.flatMap(keySpellings)]
}

/** Bytes of a key below which its encodings stand in too many words. */
const MIN_KEY_BYTES = 16

function keySpellings(text: string): readonly string[] {
  const key = Buffer.from(text, /^[0-9a-f]+$/i.test(text) ? 'hex' : 'base64')
  if (key.length < MIN_KEY_BYTES || !/^[\w+/-]+={0,2}$/.test(text)) return []
  return [hex(key), key.toString('base64').replace(/=+$/, ''), key.toString('base64url')]
}

const hex = (bytes: Buffer): string => bytes.toString('hex')

/** As much of it as does not depend on what stands before and after. */
const base64 = (text: string): readonly string[] =>
  [0, 1, 2]
    .flatMap((offset) => {
      const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)])
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
      return (['base64', 'base64url'] as const).map((form) => whole.toString(form).slice(offset === 0 ? 0 : 4))
    })
    .filter((each) => each.length >= MIN_LENGTH)

/** Takes secrets out of what came with a request or goes into the log, by their value, wherever they stand. */
export interface SecretFilter {
  /** Names and values of headers; the same object where there is nothing to take out. */
  readonly headers: (headers: Headers) => Headers
  /** A line of the log, which stays one. Short secrets are left in it: they are words of its own. */
  readonly line: (line: string) => string
}

/** Shorter secrets, and shorter encodings, are looked for as whole words, or not at all: they stand in other words too. */
const MIN_SECRET_LENGTH = 12
const MIN_SPELLING_LENGTH = 8
/** Names of headers that are remembered to hold none. */
const MAX_KNOWN_NAMES = 256

/** All secrets by which sources verify, the old ones among them, their API keys, and the operators' token. */
export const secretsIn = ({ sources, opsToken }: Config): readonly string[] =>
  [...sources.flatMap(({ secrets, apiKey }) => [...secrets, apiKey]), opsToken].filter(
    (secret): secret is string => secret !== undefined && secret !== '',
  )

/** Those of them by which senders are known, and which senders therefore send. */
export const sentSecretsIn = ({ sources }: Pick<Config, 'sources'>): readonly string[] =>
  sources.flatMap(({ secrets }) => secrets)

const isShort = ({ length }: string): boolean => length < MIN_SECRET_LENGTH

/**
 * One pass over each text, most of which it skips: for a request's headers a microsecond or two. Of short secrets only those
 * that are sent are looked for: an operators' token `test`, or an API key `push`, is a word of senders too, and events are read by it.
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

/** As far as it is escaped: `%` may stand for itself. */
const unescaped = (text: string): string =>
  text.replace(/(?:%[\da-f]{2})+/gi, (escaped) => Buffer.from(escaped.replaceAll('%', ''), 'hex').toString('latin1'))

/**
 * Whether any of these stands in a text, in either case. Wu and Manber's search (TR-94-17), by blocks of two characters:
 * where a block is in none of the needles, the search goes on past it.
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

/** Other characters than those of Latin-1 fall together, which costs time, not correctness. */
const blockAt = (text: string, at: number): number =>
  ((text.charCodeAt(at - 1) & 0xff) << 8) | (text.charCodeAt(at) & 0xff)
