import { type Html, html, own } from '../html/html.ts'
import type { Visit } from '../routes.ts'
import type { Asked } from './meant.ts'

/**
 * A list in which events are selected. What is selected is asked for on a page of its own, which says how many and what will happen;
 * `asked` leads from there back to the list.
 */
export const selectionForm = ({ mayChange }: Visit, asked: Asked, list: Html): Html =>
  mayChange
    ? html`<form method="get" action="/console/replay" id="selection">${Object.entries({ of: 'selection', ...asked }).map(([name, value]) => html`<input type="hidden" name="${own(name)}" value="${own(value)}">`)}${list}</form>`
    : list

/** What can be done with the selected ones; `rest`: with all, while none is selected. */
export const selectionBar = (
  rest: Html,
): Html => html`<div class="sel"><span class="picked"><b data-picked>Selected</b> <button class="btn go" type="submit" data-key="r">Replay…</button> <button class="btn" type="submit" formaction="/console/discard">Discard…</button> <button class="btn plain" type="reset">Clear</button></span>
<span class="rest">${rest}</span></div>`
