import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'
import { charge, chargeUnbounded } from './step-budget.ts'

/** Instructions of the largest re2js program that is used: each character of a text may cost as many steps. */
const MAX_PROGRAM = 500

/** The interface that Ajv needs of a regular expression. */
interface Matcher {
  readonly test: (text: string) => boolean
  readonly toString: () => string
}

/**
 * Compiles a schema's pattern, with the meaning of `new RegExp(pattern, 'u')`, so that it matches in time linear in the text
 * (re2js). Patterns that re2js cannot match (look-around, back references, huge repetitions) use Node's own engine, and never run
 * under a budget. Throws `SyntaxError` if the pattern is not valid.
 */
export function compilePattern(pattern: string): Matcher {
  const native = new RegExp(pattern, 'u')
  const linear = linearly(pattern)
  if (linear === undefined) {
    return {
      test: (text) => {
        chargeUnbounded()
        return native.test(text)
      },
      toString: () => `native ${native}`,
    }
  }
  const size = linear.programSize()
  return {
    test: (text) => {
      charge(1 + text.length * size)
      return linear.test(text)
    },
    toString: () => `linear ${native}`,
  }
}

function linearly(pattern: string): RE2JS | undefined {
  const translated = toRe2(pattern)
  if (translated === undefined) return undefined
  try {
    const compiled = engine().compile(translated)
    return compiled.programSize() <= MAX_PROGRAM ? compiled : undefined
  } catch {
    return undefined
  }
}

let loaded: typeof RE2JS | undefined

/** Loads re2js at the first schema with a pattern: it takes 3 MiB. */
function engine(): typeof RE2JS {
  loaded ??= (createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }).RE2JS
  return loaded
}

/** The white space of ECMAScript, which includes more than RE2's `\s`. */
const SPACE = String.raw`\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
const NOT_SPACE = String.raw`\x00-\x08\x0e-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
const ANY = String.raw`[^\n\r\x{2028}\x{2029}]`

/** One piece of a valid pattern: an escape, the head of a group, or a character. */
const PIECE =
  /\\u\{[\da-f]+\}|\\u[\da-f]{4}|\\x[\da-f]{2}|\\c[a-z]|\\[pP]\{[^}]*\}|\\.|\(\?<(?![=!])[^>]+>|\(\?.|[\s\S]/giu
const NAMED_GROUP = /^\(\?<.+>$/
/** Unicode categories that have the same name in both engines. */
const CATEGORY = /^\\[pP]\{(L|Lu|Ll|Lt|Lm|Lo|M|N|Nd|P|S|Z|Zs)\}$/

/** Translates a pattern to RE2's syntax. Undefined: RE2 cannot express it. */
function toRe2(pattern: string): string | undefined {
  let text = ''
  let inClass = false
  for (const [piece] of pattern.matchAll(PIECE)) {
    const part = inClass ? inClassToRe2(piece) : toRe2Piece(piece)
    if (part === undefined) return undefined
    if (piece === '[') inClass = true
    else if (piece === ']') inClass = false
    text += part
  }
  // `[]` and `[^]` are whole classes in ECMAScript, but only the beginning of a class in RE2.
  return /(?<!\\)(?:\\\\)*\[\^?\]/.test(pattern) ? undefined : text
}

function toRe2Piece(piece: string): string | undefined {
  if (piece === '.') return ANY
  if (piece === '\\s') return `[${SPACE}]`
  if (piece === '\\S') return `[^${SPACE}]`
  if (piece === '\\b' || piece === '\\B') return piece
  if (piece === '(' || piece === '(?:' || NAMED_GROUP.test(piece)) return '(?:'
  if (piece.startsWith('(?')) return undefined
  return piece.startsWith('\\') ? escapeToRe2(piece) : characterToRe2(piece)
}

function inClassToRe2(piece: string): string | undefined {
  if (piece === '[') return '\\['
  if (piece === '\\s') return SPACE
  if (piece === '\\S') return NOT_SPACE
  if (piece === '\\b') return '\\x08'
  // Outside a class this begins a group; in a class it is two or more characters.
  if (piece.startsWith('(?')) return undefined
  return piece.startsWith('\\') ? escapeToRe2(piece) : characterToRe2(piece)
}

function escapeToRe2(piece: string): string | undefined {
  if (/^\\[dDwWtnrfv]$/.test(piece)) return piece
  if (/^\\[ux]/.test(piece)) return codePointToRe2(Number.parseInt(piece.replace(/[^\da-f]/gi, ''), 16))
  if (piece.startsWith('\\c')) return codePointToRe2((piece.codePointAt(2) ?? 0) % 32)
  if (piece === '\\0') return '\\x00'
  if (/^\\[pP]/.test(piece)) return CATEGORY.test(piece) ? piece : undefined
  return /^\\[a-zA-Z\d]/.test(piece) ? undefined : piece
}

const characterToRe2 = (character: string): string | undefined =>
  isSurrogate(character.codePointAt(0) ?? 0) ? undefined : character

const codePointToRe2 = (code: number): string | undefined =>
  isSurrogate(code) ? undefined : `\\x{${code.toString(16)}}`

/** Half of a surrogate pair: only ECMAScript's engine combines two of them. */
const isSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff
