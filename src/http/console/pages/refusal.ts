import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { mark } from '../html/marks.ts'
import { show } from '../html/show.ts'

interface Refusal {
  readonly status: number
  readonly title: string
  /** May hold what the person has sent. */
  readonly detail?: string
}

/** What a page shows in place of its content if there is a fault. */
export const refusalPage = ({ status, title, detail }: Refusal): Page => ({
  section: undefined,
  title,
  content: html`<div class="head"><div><h1>${own(title)}</h1><p>${detail === undefined ? NOTHING : show(detail)}</p></div></div>
<p class="muted small">Answer ${status}. ${when(status === 404, () => html`It may be older than the service keeps, or be in another store.`)}</p>
<p><a class="btn" href="/console">Overview</a></p>`,
})

/** The same in place of a part: what the page showed before is old. */
export const refusalPart = ({ title, detail }: Refusal): Html =>
  html`<p class="note" role="alert">${mark('warning')} ${own(title)}. ${detail === undefined ? NOTHING : show(detail)}</p>`

/** Asks for the same page again, now from a page of this site: with the cookie. */
export const sameSitePage = (url: string): Html => html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${own(url)}"><title>Holdfast</title></head>
<body><p><a href="${own(url)}">Go on to the console</a></p></body></html>`
