import { type Html, html, own } from './html.ts'

/** What a state asks of a person; each has a colour of its own. */
export type Tone = 'ok' | 'warn' | 'bad' | 'quiet'

interface Mark {
  readonly tone: Tone
  readonly shape: Html
}

const disc = html`<circle cx="6" cy="6" r="6" fill="currentColor"/>`
const triangle = html`<path d="M6 .8 11.8 11.2H.2Z" fill="currentColor"/><path class="cut" d="M6 4.6v3.2M6 9v1"/>`
const ring = html`<circle class="pen" cx="6" cy="6" r="5.2"/>`

/** A shape for every state, so that no state is told by its colour alone. */
const MARKS = {
  succeeded: { tone: 'ok', shape: html`${disc}<path class="cut" d="M3.2 6.2 5.2 8.2 8.9 4.2"/>` },
  pending: { tone: 'quiet', shape: html`${ring}<path class="pen" d="M6 3v3l2 1.4"/>` },
  running: { tone: 'quiet', shape: html`<path class="pen" d="M10.6 4.6A5 5 0 1 1 7.4 1.4"/>` },
  failing: { tone: 'warn', shape: triangle },
  dead: {
    tone: 'bad',
    shape: html`<rect width="12" height="12" rx="1.5" fill="currentColor"/><path class="cut" d="m3.6 3.6 4.8 4.8m0-4.8-4.8 4.8"/>`,
  },
  discarded: { tone: 'quiet', shape: html`${ring}<path class="pen" d="m2.6 9.4 6.8-6.8"/>` },
  none: { tone: 'quiet', shape: html`<path class="pen" d="M1 6h10"/>` },
  refused: {
    tone: 'bad',
    shape: html`<path d="M3.6 0h4.8L12 3.6v4.8L8.4 12H3.6L0 8.4V3.6Z" fill="currentColor"/><path class="cut" d="M3 6h6"/>`,
  },
  silent: { tone: 'warn', shape: html`<path class="pen" d="M.5 6h2.6M4.8 6h2.4M8.9 6h2.6"/>` },
  paused: { tone: 'warn', shape: html`<path class="pen wide" d="M3.6 1.5v9M8.4 1.5v9"/>` },
  open: { tone: 'warn', shape: html`<path class="pen" d="M.5 9h3l6-5M9.5 9h2"/>` },
  received: { tone: 'quiet', shape: html`<path class="pen" d="M6 1v7M3 5.4 6 8.4l3-3M1.5 11h9"/>` },
  verified: {
    tone: 'quiet',
    shape: html`<circle class="pen" cx="4" cy="6" r="2.6"/><path class="pen" d="M6.6 6H11M9.4 6v2"/>`,
  },
  stored: {
    tone: 'quiet',
    shape: html`<ellipse class="pen" cx="6" cy="3" rx="4.6" ry="1.9"/><path class="pen" d="M1.4 3v6c0 1 2 1.9 4.6 1.9s4.6-.9 4.6-1.9V3"/>`,
  },
  replayed: { tone: 'quiet', shape: html`<path class="pen" d="M10 6a4 4 0 1 1-1.2-2.9M9 .8v2.6H6.4"/>` },
  asked: { tone: 'quiet', shape: html`<path class="pen" d="M3.5 4a2.5 2.5 0 1 1 3.6 2.3C6.3 6.7 6 7.2 6 8M6 10v1"/>` },
  warning: { tone: 'warn', shape: triangle },
  note: { tone: 'quiet', shape: html`${ring}<path class="pen" d="M6 5.4V9M6 3v.8"/>` },
} as const satisfies Readonly<Record<string, Mark>>

export type MarkName = keyof typeof MARKS

/** The shape alone, where its word stands beside it. */
export function mark(name: MarkName, tone: Tone = MARKS[name].tone): Html {
  return html`<svg class="mark ${own(tone)}" viewBox="0 0 12 12" aria-hidden="true">${MARKS[name].shape}</svg>`
}

/** A state: its shape, its word and its colour. */
export function state(name: MarkName, word: Html, tone: Tone = MARKS[name].tone): Html {
  return html`<span class="st ${own(tone)}">${mark(name, tone)}${word}</span>`
}
