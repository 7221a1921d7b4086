import { HtmlSafeString, join, safe } from 'escape-html-template-tag'

/**
 * A piece of a page. Only `html`, `show` and `attribute` make one, so that no text reaches a page in another way: a text alone is not
 * what `html` accepts.
 */
export type Html = HtmlSafeString

/** What may stand in a page. Nothing (`NOTHING`) is said, never left to `undefined` or `false`. */
export type Content = Html | number | readonly Html[]

/** A piece of a page with its markup; every attribute in double quotes. */
export const html = (parts: TemplateStringsArray, ...contents: readonly Content[]): Html =>
  new HtmlSafeString(parts, contents)

export const NOTHING: Html = safe('')

/** The piece if there is something to show. */
export const when = (condition: boolean, piece: () => Html): Html => (condition ? piece() : NOTHING)

/** The pieces with another between them. */
export const between = (pieces: readonly Html[], separator: Html): Html =>
  pieces.length === 0 ? NOTHING : join([...pieces], separator.toString())

/** The piece, rendered once for many pages. */
export const rendered = (piece: Html): Html => safe(piece.toString())

/**
 * A text of our own, escaped: a word, a number that is written out, a URL that we made. Text of others goes through `show`; what a person
 * has typed may stand in a field again, without what HTML cannot hold.
 */
export const own = (text: string): Html => new HtmlSafeString(['', ''], [text.replaceAll('\0', '\ufffd')])
