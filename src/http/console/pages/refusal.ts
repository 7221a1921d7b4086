import type { ProblemJson } from '../../schemas/schema.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { mark } from '../html/marks.ts'
import { show } from '../html/show.ts'

const MAX_DETAIL = 600

/**
 * What a page shows in place of its content if there is a fault. The detail may hold what the person has sent. `from`: the page whose
 * form was sent.
 */
export function refusalPage(problem: ProblemJson, from?: string): Page {
  const { status } = problem
  const { title, detail } = forPersons(problem)
  const hint = HINTS[problem.type] ?? ''
  return {
    section: undefined,
    title,
    content: html`<div class="head"><div><h1>${own(title)}</h1><p>${detail === undefined ? NOTHING : show(detail, MAX_DETAIL)}</p></div></div>
<p class="muted small">Answer ${status}. ${own(hint)}</p>
<p class="bar">${status === 401 ? signInLink(from) : html`${from === undefined ? NOTHING : html`<a class="btn go" href="${own(from)}">Back</a>`}<a class="btn" href="/console">Overview</a>`}</p>`,
  }
}

/** The same in place of a part: what the page showed before is old. */
export function refusalPart(problem: ProblemJson): Html {
  const { title, detail } = forPersons(problem)
  return html`<p class="note" role="alert">${mark('warning')} ${own(title)}. ${detail === undefined ? NOTHING : show(detail, MAX_DETAIL)} ${when(problem.status === 401, () => signInLink())}</p>`
}

const signInLink = (to?: string): Html =>
  html`<a class="btn go" href="/console/sign-in${own(to === undefined ? '' : `?to=${encodeURIComponent(to)}`)}">Sign in</a>`

const OLDER = 'It may be older than the service keeps, or be in another store.'
const GONE = 'It may have been renamed or removed.'
const HINTS: Readonly<Record<string, string>> = {
  'urn:holdfast:problem:task-not-found': OLDER,
  'urn:holdfast:problem:replay-not-found': OLDER,
  'urn:holdfast:problem:handler-not-found': GONE,
  'urn:holdfast:problem:unknown-source': GONE,
  'urn:holdfast:problem:registration-not-found': GONE,
  'urn:holdfast:problem:not-found': 'The address may have a mistake in it.',
  'urn:holdfast:problem:foreign-origin': 'Open the console itself, and go on from there.',
  'urn:holdfast:problem:method-not-allowed': 'This address is that of a form: go to the page that it is on.',
  'urn:holdfast:problem:unavailable':
    'The store cannot be read or written now. What you asked for was not done, or only in part: look before you ask again.',
}

/** To persons, a token is something that they sign in with, and a resource is a page. */
function forPersons({ type, status, title, detail }: ProblemJson): Pick<ProblemJson, 'title' | 'detail'> {
  if (status === 401)
    return { title: 'Sign in again', detail: 'Your session has ended, and what you have asked for was not done.' }
  if (type === 'urn:holdfast:problem:not-found') return { title: 'There is no such page' }
  return { title, ...(detail !== undefined && { detail }) }
}

/** Asks for the same page again, now from a page of this site: with the cookie. */
export const sameSitePage = (url: string): Html => html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${own(url)}"><title>Holdfast</title></head>
<body><p><a href="${own(url)}">Go on to the console</a></p></body></html>`
