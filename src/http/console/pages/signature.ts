import { MARKS } from '../../../domain/cause.ts'
import { type Html, html, own } from '../html/html.ts'
import { show } from '../html/show.ts'

const MARK = new RegExp(`(${MARKS.join('|')})`)

/** The signature of a cause, with what was taken out of the error marked. Other words in angle brackets are the error's own. */
export const signatureShown = (signature: string): Html =>
  html`${signature.split(MARK).map((part, at) => (at % 2 === 1 ? html`<span class="gone">${own(part.slice(1, -1))}</span>` : show(part)))}`

/** The same in a line among others, where the marks would be in the way. */
export const briefSignature = (signature: string): string =>
  signature
    .split(MARK)
    .map((part, at) => (at % 2 === 1 ? '…' : part))
    .join('')
