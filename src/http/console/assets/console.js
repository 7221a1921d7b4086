// What pages do better with a script: copying, keys, local times. Without it they do all the rest.
'use strict'

const root = document.documentElement
const said = () => document.getElementById('said')

/** Says it to a screen reader. */
function say(text) {
  const place = said()
  if (place) place.textContent = text
}

// --- copy

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false // only https and localhost may write the clipboard
  }
}

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[data-copy]')
  if (button) void copyFrom(button)
})

async function copyFrom(button) {
  const isCopied = await copy(button.dataset.copy)
  if (isCopied) say('Copied')
  else getSelection()?.selectAllChildren(button.previousElementSibling ?? button)
  const word = button.firstChild
  if (!isCopied || word?.nodeType !== Node.TEXT_NODE) return
  const before = word.textContent
  word.textContent = 'copied'
  setTimeout(() => {
    word.textContent = before
  }, 1_500)
}

// --- local times

function localTimes(place) {
  if (root.dataset.times !== 'local') return
  for (const time of place.querySelectorAll('time[datetime]:not([data-local])')) {
    const at = new Date(time.dateTime)
    if (/ago/.test(time.textContent) || Number.isNaN(at.getTime())) continue
    time.dataset.local = ''
    const isToday = at.toDateString() === new Date().toDateString()
    const clock = at.toLocaleTimeString('en-GB')
    time.textContent = isToday
      ? clock
      : `${at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${clock}`
  }
}
localTimes(document)
document.addEventListener('htmx:after:swap', (event) => localTimes(event.target))

// --- parts that ask for themselves again

const HELD_MS = 1_000
const FAILED_MS = 5_000

/** Whether the pointer or the focus is where nothing may change under it. */
function isInUse(id) {
  const place = id && document.getElementById(id)
  return Boolean(place) && (place.matches(':hover') || place.contains(document.activeElement))
}

/** Says why a page does not follow what happens; the next answer takes the words away. */
function held(words) {
  const place = document.querySelector('.live')
  place?.classList.add('held')
  const text = place?.lastElementChild
  if (text && text.textContent !== words) text.textContent = words
}

function askLater(asking, words, ms) {
  held(words)
  setTimeout(() => asking.isConnected && asking.dispatchEvent(new CustomEvent('again')), ms)
}

document.addEventListener('htmx:before:request', (event) => {
  const { again } = event.target.dataset
  if (again === undefined || (!document.hidden && !isInUse(again))) return
  event.preventDefault()
  askLater(event.target, 'Held while you are at it', HELD_MS)
})
document.addEventListener('htmx:before:response', (event) => {
  const status = event.detail?.ctx?.response?.status ?? 0
  if (event.target.dataset.again === undefined || status < 400) return
  // What is shown stays, until there is a better answer.
  event.preventDefault()
  askLater(event.target, `Not live: the service answers ${status}`, FAILED_MS)
})
document.addEventListener('htmx:error', (event) => {
  if (event.target.dataset?.again !== undefined) askLater(event.target, 'Not live: no answer', FAILED_MS)
})

// --- keys

const PLACES = {
  o: '',
  e: '/events',
  d: '/dead',
  r: '/replays',
  t: '/tasks',
  s: '/sources',
  h: '/handlers',
  a: '/audit',
}
const KEYS = [
  ['/', 'search'],
  ['j, k', 'next, previous'],
  ['Enter', 'open'],
  ['x', 'select'],
  ['a', 'all that match'],
  ['r', 'replay'],
  ['.', 'hold the live list, or let it go on'],
  ['Esc', 'back'],
  ['g, then o e d r t s h a', 'overview, events, dead letters, replays, tasks, sources, handlers, audit'],
  ['?', 'these keys'],
]

const links = () => [...document.querySelectorAll('main a.row')]
let goesTo = 0

function move(by) {
  const all = links()
  const at = all.indexOf(document.activeElement)
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]
  next?.focus()
  next?.closest('tr')?.scrollIntoView({ block: 'nearest' })
}

function showKeys() {
  let dialog = document.getElementById('keys')
  if (!dialog) {
    dialog = document.createElement('dialog')
    dialog.id = 'keys'
    dialog.setAttribute('aria-label', 'Keys')
    const list = document.createElement('dl')
    list.className = 'kv'
    for (const [key, what] of KEYS) {
      const term = document.createElement('dt')
      term.textContent = key
      const text = document.createElement('dd')
      text.textContent = what
      list.append(term, text)
    }
    dialog.append(list)
    document.body.append(dialog)
    dialog.addEventListener('click', () => dialog.close())
  }
  if (dialog.open) dialog.close()
  else dialog.showModal()
}

const ACTIONS = {
  '/': () => document.querySelector('input[type=search]')?.focus(),
  j: () => move(1),
  k: () => move(-1),
  x: () => document.activeElement?.closest('tr')?.querySelector('input[type=checkbox]')?.click(),
  a: () => document.querySelector('[data-key=a]')?.click(),
  r: () => document.querySelector('[data-key=r]')?.focus(),
  '.': () => document.querySelector('[data-key=hold]')?.click(),
  '?': showKeys,
}

document.addEventListener('keydown', (event) => {
  if (root.dataset.keys === 'off' || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (event.target.closest?.('input, select, textarea, [contenteditable]')) {
    if (event.key === 'Escape') event.target.blur()
    return
  }
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
    document.querySelector('.crumb a')?.click()
    return
  }
  if (event.key === 'g') {
    goesTo = performance.now()
    return
  }
  const place = PLACES[event.key]
  if (place !== undefined && performance.now() - goesTo < 1_500) {
    location.assign(`/console${place}`)
    return
  }
  const action = Object.hasOwn(ACTIONS, event.key) ? ACTIONS[event.key] : undefined
  if (!action) return
  event.preventDefault()
  action()
})
