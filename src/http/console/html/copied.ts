import { type Html, html, own } from './html.ts'

/** What no attribute can carry as it is: NUL, halves of characters, and ends of lines that HTML changes. */
const NOT_CARRIED = /[\0\r\p{Cs}]/u

/** A button that copies the text, with its true characters; one that an attribute cannot carry is copied as JSON writes it. */
export const copyButton = (text: string, word: Html, className = 'link tiny'): Html =>
  html`<button class="${own(className)}" type="button" data-copy="${own(NOT_CARRIED.test(text) ? JSON.stringify(text) : text)}">${word}</button>`
