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
    return copyFromField(text) // only https and localhost may write the clipboard
  }
}

/** As every browser copies what is selected. */
function copyFromField(text) {
  const field = document.createElement('textarea')
  const before = document.activeElement
  field.value = text
  field.className = 'hide'
  field.setAttribute('aria-hidden', 'true')
  document.body.append(field)
  field.select()
  const isCopied = document.execCommand('copy')
  field.remove()
  before?.focus()
  return isCopied
}

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[data-copy]')
  if (button) void copyFrom(button)
})

async function copyFrom(button) {
  const isCopied = await copy(button.dataset.copy)
  say(isCopied ? 'Copied' : 'The browser does not let this page copy')
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
    const milliseconds = /\.\d{3}$/.exec(time.textContent)?.[0] ?? ''
    const isToday = at.toDateString() === new Date().toDateString()
    const isMinute = /(^| )\d\d:\d\d$/.test(time.textContent)
    const clock = `${at.toLocaleTimeString('en-GB', isMinute ? { timeStyle: 'short' } : {})}${milliseconds}`
    time.textContent = isToday
      ? clock
      : `${at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${clock}`
    // It is not the time of UTC any more.
    const after = time.nextSibling
    if (after?.nodeType === Node.TEXT_NODE) after.data = after.data.replace(/^ UTC/, '')
  }
  for (const { firstChild: title } of place.querySelectorAll('th'))
    if (title?.nodeType === Node.TEXT_NODE) title.data = title.data.replace(/, UTC$/, ', here')
}
localTimes(document)
document.addEventListener('htmx:after:swap', (event) => localTimes(event.target))

// --- the section of the page, in a row that is wider than a phone

const current = document.querySelector('.nav [aria-current]')
const row = current?.closest('.nav')
if (row && row.scrollWidth > row.clientWidth)
  row.scrollLeft = current.offsetLeft - (row.clientWidth - current.offsetWidth) / 2

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
  c: '/config',
}
const KEYS = [
  ['/', 'search'],
  ['j, k', 'next, previous'],
  ['Enter', 'open'],
  ['x', 'select'],
  ['a', 'replay all that match'],
  ['r', 'replay'],
  ['.', 'hold the live list, or let it go on'],
  ['Esc', 'clear the selection, leave the list, or go back'],
  [
    'g, then o e d r t s h a c',
    'overview, events, dead letters, replays, tasks, sources, handlers, audit, configuration',
  ],
  ['?', 'these keys'],
]

const links = () => [...document.querySelectorAll('main a.row')]
const rowOf = (element) => element?.closest?.('main tr')
let goesToMs = Number.NEGATIVE_INFINITY

/** To the next row of a list; on the page of an event, to the next event of the search that led there. */
function move(by) {
  const beside = /^\/console\/events\/./.test(location.pathname)
    ? document.querySelector(by > 0 ? 'a[rel=next]' : 'a[rel=prev]')
    : null
  if (beside) return void beside.click()
  const all = links()
  const row = rowOf(document.activeElement)
  const at = all.findIndex((link) => link === document.activeElement || (row && rowOf(link) === row))
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]
  next?.focus()
  rowOf(next)?.scrollIntoView({ block: 'nearest' })
}

function search() {
  const field = document.querySelector('input[type=search]')
  field?.focus()
  field?.setSelectionRange(field.value.length, field.value.length)
}

const boxOf = (element) => rowOf(element)?.querySelector('input[type=checkbox]')

/** Asks for a replay of what is selected, or else of the row with the focus. */
function replay() {
  const button = document.querySelector('[data-key=r]')
  const selection = button?.closest('form')?.querySelector('input[name=uid]') ? button.form : undefined
  if (!selection) return void (button?.matches('a') ? button.click() : button?.focus())
  const box = boxOf(document.activeElement)
  if (box && !selection.querySelector('input[name=uid]:checked')) box.checked = true
  if (selection.querySelector('input[name=uid]:checked')) selection.requestSubmit(button)
}

// The numbers of a list that is followed are told where it is followed. A form is reset after its event.
for (const name of ['change', 'reset'])
  document.addEventListener(name, ({ target }) =>
    setTimeout(() => {
      const form = target.form ?? target
      const label = form.querySelector?.('[data-picked]')
      if (label) label.textContent = `${form.querySelectorAll('input[name=uid]:checked').length} selected`
    }),
  )

/** Clears what is selected, leaves the list, or goes back. */
function back() {
  const selected = document.querySelector('input[name=uid]:checked')
  if (selected) selected.form.reset()
  else if (rowOf(document.activeElement)) document.activeElement.blur()
  else document.querySelector('.crumb a')?.click()
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
  '/': search,
  j: () => move(1),
  k: () => move(-1),
  x: () => boxOf(document.activeElement)?.click(),
  a: () => document.querySelector('[data-key=a]')?.click(),
  r: replay,
  '.': () => document.querySelector('[data-key=hold]')?.click(),
  '?': showKeys,
}

const FIELDS = 'input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]'

document.addEventListener('keydown', (event) => {
  const { key, target } = event
  if (root.dataset.keys === 'off' || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (target.closest?.(FIELDS)) {
    if (key === 'Escape') target.blur()
    return
  }
  if (document.querySelector('dialog[open]') && key !== '?') return
  const isGoing = performance.now() - goesToMs < 1_500
  goesToMs = key === 'g' ? performance.now() : Number.NEGATIVE_INFINITY
  if (isGoing && Object.hasOwn(PLACES, key)) return location.assign(`/console${PLACES[key]}`)
  if (key === 'Escape') return back()
  const action = Object.hasOwn(ACTIONS, key) ? ACTIONS[key] : undefined
  if (!action) return
  event.preventDefault()
  action()
})
