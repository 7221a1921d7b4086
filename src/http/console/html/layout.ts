import { assetUrl } from './assets.ts'
import { type Html, html, NOTHING, own, when } from './html.ts'
import type { Tone } from './marks.ts'
import { mark } from './marks.ts'
import { plain, show } from './show.ts'

/** The sections of the console, in the order in which they stand beside every page; a gap before some. */
export const SECTIONS = [
  { name: 'overview', title: 'Overview', path: '/console' },
  { name: 'events', title: 'Events', path: '/console/events' },
  { name: 'dead', title: 'Dead letters', path: '/console/dead' },
  { name: 'replays', title: 'Replays', path: '/console/replays' },
  { name: 'tasks', title: 'Tasks', path: '/console/tasks' },
  { name: 'sources', title: 'Sources', path: '/console/sources', gap: true },
  { name: 'handlers', title: 'Handlers', path: '/console/handlers' },
  { name: 'audit', title: 'Audit', path: '/console/audit', gap: true },
  { name: 'config', title: 'Configuration', path: '/console/config' },
] as const
export type Section = (typeof SECTIONS)[number]['name']

/** A number beside a section: only where somebody may want to act on it. */
export interface Badge {
  readonly text: string
  readonly tone: Tone
}

export type Badges = Readonly<Partial<Record<Section, Badge>>>

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

/** What every page shows around its content, and what a person has chosen. */
export interface Frame {
  /** Whether the sections and the preferences stand beside the page: not for those who have to sign in first. */
  readonly isOpen: boolean
  readonly badges: Badges
  readonly version: string
  /** `3 replicas`, for example. */
  readonly about: string
  /** By what right the person is here; undefined: the service asks for no token. */
  readonly right: 'OPS_TOKEN' | 'OPS_READ_TOKEN' | undefined
  readonly theme: Theme
  readonly times: 'utc' | 'local'
  readonly keys: boolean
  /** Why the service cannot receive now, in words; empty: it can. */
  readonly faults: readonly string[]
  /** Stands in every form that changes something. */
  readonly csrf: string
  /** The page, to which forms for preferences return. */
  readonly path: string
}

export interface Page {
  /** Undefined: of no section, such as the page to sign in. */
  readonly section: Section | undefined
  /** Text of others may be in it. */
  readonly title: string
  readonly content: Html
  /** Of the answer, if it is not 200: a search that is not understood, for example. */
  readonly status?: number
}

export const page = (frame: Frame, { section, title, content }: Page): Html => html`<!doctype html>
<html lang="en" data-theme="${own(frame.theme)}" data-times="${own(frame.times)}" data-keys="${own(frame.keys ? 'on' : 'off')}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="htmx-config" content="${own(HTMX_CONFIG)}">
<title>${plain(title, 80)} · Holdfast</title>
<link rel="icon" href="${own(assetUrl('icon.svg'))}">
<link rel="stylesheet" href="${own(assetUrl('console.css'))}">
<script src="${own(assetUrl('htmx.js'))}" defer></script>
<script src="${own(assetUrl('console.js'))}" defer></script>
${when(section === 'events', () => html`<script src="${own(assetUrl('live.js'))}" defer></script>`)}
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<div class="frame">
<header class="rail">
<a class="brand" href="/console">${BRAND}Holdfast</a>
${when(frame.isOpen, () => html`<nav class="nav" aria-label="Console"><ul>${SECTIONS.map((each) => link(each, section, frame))}</ul></nav>${about(frame)}`)}
</header>
<main class="main" id="main" tabindex="-1">
${when(frame.faults.length > 0 && section !== 'overview', () => notReceiving(frame.faults))}${content}
</main>
</div>
<p id="said" class="hide" role="status"></p>
</body>
</html>
`

/** On every page but the overview, which says more of it. */
const notReceiving = (faults: readonly string[]): Html =>
  html`<p class="note bar spread" role="alert"><span>${mark('warning', 'bad')} <b>Not receiving.</b> ${show(faults.join('; '), 300)}. Providers get 503, and send again later.</span> <a class="btn" href="/console/config#process">See the process</a></p>
`

const HTMX_CONFIG = JSON.stringify({
  history: 'reload',
  includeIndicatorCSS: false,
  morphIgnore: ['data-htmx-powered', 'open'],
})

const BRAND = html`<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M10 2v8M10 10c0 4-3 4.5-5.5 7.5M10 10c0 4 3 4.5 5.5 7.5M10 10v7.5M10 6c2.5 0 4-1.2 4.6-3.4"/></svg>`

function link(
  { name, title, path, ...rest }: (typeof SECTIONS)[number],
  current: Section | undefined,
  frame: Frame,
): Html {
  const number = isCounted(name) ? html` ${numberOf(name, frame.badges)}` : NOTHING
  return html`<li${'gap' in rest ? GAP : NOTHING}><a href="${own(path)}"${name === current ? CURRENT : NOTHING}>${own(title)}${number}</a></li>`
}

/** The sections beside which a number may stand. */
const COUNTED = ['dead', 'replays', 'tasks', 'sources', 'handlers'] as const satisfies readonly Section[]
const isCounted = (section: Section): section is (typeof COUNTED)[number] => COUNTED.some((name) => name === section)

function numberOf(name: (typeof COUNTED)[number], badges: Badges, how: Html = NOTHING): Html {
  const badge = badges[name]
  const tone = badge === undefined ? NOTHING : html` class="n ${own(badge.tone)}"`
  return html`<span id="n-${own(name)}"${tone}${how}>${own(badge?.text ?? '')}</span>`
}

/** The numbers again, beside a part that a page has asked for: they replace those in the page. */
export const numbersAgain = (badges: Badges): Html =>
  html`${COUNTED.map((name) => numberOf(name, badges, html` hx-swap-oob="true"`))}`

const CURRENT = html` aria-current="page"`
const GAP = html` class="gap"`

/** The field without which the service refuses a form that changes something. */
export const csrfField = ({ csrf }: Pick<Frame, 'csrf'>): Html =>
  html`<input type="hidden" name="csrf" value="${own(csrf)}">`

const RIGHTS = { OPS_TOKEN: 'may change things', OPS_READ_TOKEN: 'may only read' }

function about(frame: Frame): Html {
  const { right } = frame
  return html`<div class="about">
${when(frame.about !== '', () => html`<span>${own(frame.about)}</span>`)}
<span>holdfast ${own(frame.version)}</span>
${when(right !== undefined, () => html`<span>${own(RIGHTS[right ?? 'OPS_READ_TOKEN'])} (${own(right ?? '')})</span>`)}
<span><a href="/console/preferences?to=${own(encodeURIComponent(frame.path))}">Preferences</a></span>
${when(right !== undefined, () => html`<form method="post" action="/console/sign-out">${csrfField(frame)}<button class="link" type="submit">Sign out</button></form>`)}
</div>`
}
