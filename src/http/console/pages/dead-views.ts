import { type Html, html, own } from '../html/html.ts'

/** The two ways to look at dead letters. */
export function views(handler: string, current: 'cause' | 'list'): Html {
  const query = handler === '' ? '' : `?handler=${encodeURIComponent(handler)}`
  const view = (name: 'cause' | 'list', path: string, words: string): Html =>
    html`<a href="${own(`${path}${query}`)}"${name === current ? CURRENT : html``}>${own(words)}</a>`
  return html`<div class="seg" role="group" aria-label="View">${view('cause', '/console/dead', 'By cause')}${view('list', '/console/dead/list', 'One by one')}</div>`
}

const CURRENT = html` aria-current="true"`
