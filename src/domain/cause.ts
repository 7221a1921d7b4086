import { hash } from 'node:crypto'
import type { ErrorDetail } from './errors.ts'

/** Why attempts failed: their errors, without what differs from one occurrence to the next. */
export interface Cause {
  /** A short hash of `signature` and `at`. */
  readonly id: string
  readonly signature: string
  /** The line of the user's own code, relative to the directory of handlers: `billing.ts:42`. Absent: it is not known. */
  readonly at?: string
}

/** The cause of an attempt, or of a dead delivery. */
export interface AttemptCause extends Cause {
  readonly handler: string
  readonly source: string
}

/** Causes that a store tells apart. The dead deliveries of further ones have a cause of their handler and source in common. */
export const MAX_CAUSES = 5_000
/** Of those, the ones of one handler: errors of which each is another leave room for what others fail of. */
export const MAX_CAUSES_OF_HANDLER = 500

const MAX_SIGNATURE_LENGTH = 300
/** Of an error, so much is looked at. */
const MAX_LOOKED_AT = 1_000
const MAX_LOCATION_LENGTH = 200
const ID_LENGTH = 12

/** Further causes of a handler, past the bounds. */
export const OTHER_CAUSES: Cause = identified('other errors', undefined)

/** `error`: the one line that the attempt has. `directory`: that of handlers, absolute. */
export function causeOf(error: string, detail: ErrorDetail | undefined, directory: string): Cause {
  return identified(signatureOf(error), detail && locationOf(detail, directory))
}

function identified(signature: string, at: string | undefined): Cause {
  const id = hash('sha256', `${signature}\0${at ?? ''}`).slice(0, ID_LENGTH)
  return { id, signature, ...(at !== undefined && { at }) }
}

/**
 * What stands for what differs, in the order in which it is replaced; numbers come last. A number stays if it says what went wrong: the
 * status of an HTTP answer, or how a process ended.
 */
const REPLACED: readonly (readonly [pattern: RegExp, by: string])[] = [
  // What V8 shows of a payload that is not JSON, and PostgreSQL of a row, has quotes and words of its own.
  [/(?:\.{3})?"(?:(?!is not valid JSON).){0,300}"(?:\.{3})?(?= is not valid JSON)/g, '<value>'],
  [/(?<=\bKey \([^()]{1,100}\)=)\((?:(?!\) (?:already exists|is )).){0,300}\)/g, '(<value>)'],
  [/\b[a-z][a-z\d+.-]{1,20}:\/\/[^\s"'`<>()[\]{}]+/gi, '<url>'],
  [/[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+/g, '<address>'],
  [
    /(?<![\p{L}\p{N}])(?:"[^"]{0,300}"|'[^']{0,300}'|`[^`]{0,300}`|“[^”]{0,300}”|«[^»]{0,300}»)(?![\p{L}\p{N}])/gu,
    '<value>',
  ],
  [/„[^“”]{0,300}[“”]|‘[^’]{0,300}’|「[^」]{0,300}」/g, '<value>'],
  [
    /\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:\d\d? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d\d?) \d{4}(?: \d\d:\d\d:\d\d(?: GMT)?(?:[+-]\d{4})?(?: \([\w ]{1,40}\))?)?/g,
    '<time>',
  ],
  [/\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?Z|[+-]\d\d:?\d\d)?)?/g, '<time>'],
  [/\b\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?\b/g, '<time>'],
  [/(?:\b(?:[a-z][a-z\d]{0,19}_)+)?(?<![\da-f])[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}(?![\da-f])/gi, '<id>'],
  [/(?<![\w/.-])(?:[A-Za-z]:)?(?:[\\/][\w.@%+~-]+){2,}[\\/]?(?::\d+){0,2}/g, '<path>'],
  [/\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b/g, '<host>'],
  [/(?<![\w:])\[?(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}\]?(?::\d{1,5})?(?![\w:])/gi, '<host>'],
  [/\b(?:[a-z\d-]{1,63}\.)+[a-z]{2,24}:\d{1,5}\b|\blocalhost(?::\d{1,5})?\b/gi, '<host>'],
  [
    /\b(?:[a-z\d-]{1,63}\.)+(?:com|net|org|io|dev|app|ai|co|cloud|local|internal|lan|localhost|svc|example|test|invalid)\b/gi,
    '<host>',
  ],
  // A nanoid.
  [/(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{21}(?![\w-])/g, '<id>'],
  [/\b(?=\w*\d)(?=\w*[a-z])\w{10,}\b|\b0x[\da-f]+\b|\b[a-z]{2,10}_(?=\w*\d)\w{4,}\b/gi, '<id>'],
]
/** With the words before it that let a number stay, if it is short. */
const NUMBER =
  /((?:status(?: code)?|http(?:\/[\d.]+)?|answered|responded|returned|exit(?:ed)?(?: with)? code|code)[ :=]{1,3})?[-+]?\d(?:[\d.,]*\d)?/gi
const MAX_KEPT_LENGTH = 3
/** All that may stand in a signature for what was taken out. */
export const MARKS: readonly string[] = [...new Set([...REPLACED.map(([, by]) => by.replaceAll(/[()]/g, '')), '<n>'])]
/** Escape sequences of a terminal, which test and build tools put into their errors. */
const COLOURS = new RegExp(`${String.fromCharCode(27)}\\[[\\d;]*[A-Za-z]`, 'g')
const CONSTANT = /^[A-Z][A-Z_]*(?:\d?[A-Z_]*)$/

/** An error without numbers, ids, hosts, addresses, URLs, paths, times and quoted values. Bounded. */
export function signatureOf(error: string): string {
  let text = error
    .slice(0, MAX_LOOKED_AT)
    .replace(COLOURS, '')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  for (const [pattern, by] of REPLACED)
    text = text.replace(pattern, (found) => (by === '<id>' && CONSTANT.test(found) ? found : by))
  text = text.replace(NUMBER, (found, words: string = '') =>
    words !== '' && found.length - words.length <= MAX_KEPT_LENGTH ? found : `${words}<n>`,
  )
  return text.slice(0, MAX_SIGNATURE_LENGTH).trim() || 'an error without a message'
}

const FRAME = /^at (?:.*? \()?([^()]+):(\d+):\d+\)?$/

/** The first line of the user's own modules in the stack of an error, or in those of what caused it. */
function locationOf(detail: ErrorDetail, directory: string): string | undefined {
  const parent = directory.slice(0, directory.lastIndexOf('/') + 1)
  for (const frame of detail.stack ?? []) {
    const [, file, line] = FRAME.exec(frame) ?? []
    if (file === undefined || line === undefined || file.includes('/node_modules/')) continue
    const path = file.replace(/^(?:async )?(?:file:\/\/)?/, '').replace(/\?.*$/, '')
    if (path.startsWith(`${directory}/`))
      return `${path.slice(directory.length + 1)}:${line}`.slice(-MAX_LOCATION_LENGTH)
    if (path.startsWith(parent)) return `../${path.slice(parent.length)}:${line}`.slice(-MAX_LOCATION_LENGTH)
  }
  for (const inner of [detail.cause, ...(detail.errors ?? [])]) {
    const at = inner && locationOf(inner, directory)
    if (at !== undefined) return at
  }
  return undefined
}
