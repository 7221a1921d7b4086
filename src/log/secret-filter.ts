import type { Config } from '../domain/config.ts'
import type { Headers } from '../domain/event.ts'
import { REPLACEMENT, redactor, spellings } from './redact.ts'

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
