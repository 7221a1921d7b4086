import { type Html, html, own } from './html.ts'

/** Characters of a text of others that a page shows of it, unless it says otherwise. */
const MAX_SHOWN = 300

/**
 * Characters that cannot be seen, or that change how others are seen: controls (with ANSI sequences and NUL, which HTML forbids), the
 * marks for the direction of text, joiners outside of the scripts that need them, and halves of characters.
 */
const UNSEEN =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Co}]|(?![\u200c\u200d])\p{Cf}|(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}])[\u200c\u200d]/gu

/** Names of the control characters that people know by name. */
const NAMES: Readonly<Record<string, string>> = {
  '\0': 'NUL',
  '\u0007': 'BEL',
  '\b': 'BS',
  '\t': 'TAB',
  '\n': 'LF',
  '\v': 'VT',
  '\f': 'FF',
  '\r': 'CR',
  '\u001b': 'ESC',
  '\u007f': 'DEL',
}

const nameOf = (character: string): string =>
  NAMES[character] ?? `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`

/** Of the characters of a text, one in so many may be a box, which takes thirty times the room; a short text may have a few. */
const CHARACTERS_PER_BOX = 4
const MIN_BOXES = 10

/** The beginning of a text, which ends between two characters, and before there are too many boxes. */
export function cut(text: string, max: number): string {
  const end = text.length <= max ? text.length : /[\ud800-\udbff]$/.test(text.slice(0, max)) ? max - 1 : max
  const beginning = text.slice(0, end)
  const boxes = Math.max(MIN_BOXES, Math.trunc(max / CHARACTERS_PER_BOX))
  const tooMany = beginning.matchAll(UNSEEN).drop(boxes).next().value
  return tooMany === undefined ? beginning : beginning.slice(0, tooMany.index)
}

/**
 * Text of others, such as a payload, a header, an id or an error: inert, legible, and with its own direction. What cannot be seen is a
 * box with its name. Longer text is cut; the caller says where the whole is.
 */
export function show(text: string, max = MAX_SHOWN): Html {
  const shown = cut(text, max)
  return html`<bdi>${boxed(shown)}${own(shown.length < text.length ? '…' : '')}</bdi>`
}

function boxed(text: string): readonly Html[] {
  const pieces: Html[] = []
  let from = 0
  for (const { 0: character, index } of text.matchAll(UNSEEN)) {
    pieces.push(own(text.slice(from, index)), html`<span class="ctl">${own(nameOf(character))}</span>`)
    from = index + character.length
  }
  pieces.push(own(text.slice(from)))
  return pieces
}

/** The same for an attribute or a title, which can hold no box: names stand in the text. */
export const plain = (text: string, max = MAX_SHOWN): Html => {
  const shown = cut(text, max)
  return own(
    `${shown.replace(UNSEEN, (character) => `[${nameOf(character)}]`)}${shown.length < text.length ? '…' : ''}`,
  )
}
