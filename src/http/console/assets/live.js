// The list of events follows them: the stream only says that there is something new, and the list then asks for itself again. It is held
// while somebody is at it.
'use strict'

const SAY_MS = 10_000
const POLL_MS = 5_000
const MAX_RETRY_MS = 60_000
/** Rows of a list. */
const MANY = 30

class LiveList {
  #live
  #list
  #hold
  #show
  /** The pointer is over the list. */
  #isOver = false
  /** The list shows what is new once, although it is held. */
  #isShown = false
  /** What the list shows is old, since it is held; so many events wait. */
  #isOld = false
  #waiting = 0
  #isAsking = false
  /** There is no stream: the list asks by itself. */
  #isLost = false
  #isSignedOut = false
  /** Why the list could not be asked for: what it shows stays. */
  #fault
  #retryMs = POLL_MS
  #pollTimer
  #fresh = []
  #unsaid = 0
  #saidMs = Number.NEGATIVE_INFINITY

  constructor(live, list) {
    this.#live = live
    this.#list = list
    this.#hold = live.querySelector('[data-key=hold]')
    this.#show = live.querySelector('[data-show]')
    this.#followPerson()
    this.#followAnswers()
    this.#followCounts()
    this.#followStream()
    live.hidden = false
    this.#tell()
    setTimeout(this.#connect) // htmx begins in a task of its own, which was queued before this one
  }

  #picked = () => this.#list.querySelectorAll('input[name=uid]:checked').length
  #connect = () => this.#live.dispatchEvent(new CustomEvent('follow'))
  #refresh = () => this.#live.dispatchEvent(new CustomEvent('changed', { bubbles: true }))

  #heldBy() {
    if (this.#hold.getAttribute('aria-pressed') === 'true') return 'held'
    if (this.#picked() > 0) return 'held while events are selected'
    if (this.#list.contains(document.activeElement)) return 'held while you are in the list'
    if (this.#isOver) return 'held under the pointer'
    return document.hidden ? 'held' : undefined
  }

  #tell() {
    const held = this.#heldBy()
    const place = this.#live.querySelector('.live')
    const fault = this.#isSignedOut ? 'signed out: load the page again' : this.#fault
    place.classList.toggle('held', held !== undefined && fault === undefined)
    place.classList.toggle('lost', fault !== undefined)
    const word = fault ?? held ?? (this.#isLost ? 'asks every 5 s' : 'live')
    const state = this.#live.querySelector('[data-state]')
    if (state.textContent !== word) state.textContent = word
    this.#show.hidden = this.#waiting === 0
    this.#show.textContent = `show ${this.#waiting < MANY ? this.#waiting : `${MANY}+`} new`
    const label = this.#list.querySelector('[data-picked]')
    if (label) label.textContent = `${this.#picked()} selected`
    return held
  }

  /** Says it, and shows what has waited if nothing holds the list any more. */
  #release = () => {
    if (this.#tell() === undefined && this.#isOld && !this.#isAsking) this.#refresh()
  }

  #followPerson() {
    const list = this.#list
    for (const name of ['pointerenter', 'pointerleave'])
      list.addEventListener(name, (event) => {
        this.#isOver = name === 'pointerenter' && event.pointerType === 'mouse'
        this.#release()
      })
    // A focus that moves within the list is nowhere for a moment, and a form is reset after its event.
    for (const name of ['focusin', 'focusout', 'change', 'reset'])
      list.addEventListener(name, () => setTimeout(this.#release))
    document.addEventListener('visibilitychange', this.#release)
    this.#hold.addEventListener('click', () => {
      this.#hold.setAttribute('aria-pressed', String(this.#hold.getAttribute('aria-pressed') !== 'true'))
      this.#release()
    })
    this.#show.addEventListener('click', () => {
      this.#isShown = true
      this.#refresh()
    })
  }

  #followAnswers() {
    const list = this.#list
    list.addEventListener('htmx:before:request', () => {
      this.#isAsking = true
    })
    list.addEventListener('htmx:error', () => {
      this.#fault = 'not live: no answer'
    })
    list.addEventListener('htmx:before:swap', (event) => {
      const { status } = event.detail.ctx.response
      this.#fault = status < 400 ? undefined : `not live: the service answers ${status}`
      if (status === 401) this.#isSignedOut = true
      if (status >= 400) return event.preventDefault()
      const ids = [...event.detail.ctx.text.matchAll(/<tr role="row" id="(e-[\w-]+)"/g)].map(([, id]) => id)
      this.#fresh = ids.filter((id) => !document.getElementById(id))
      this.#isOld = this.#heldBy() !== undefined && !this.#isShown
      this.#isShown = false
      this.#waiting = this.#isOld ? this.#fresh.length : 0
      this.#unsaid = this.#isOld ? this.#waiting : this.#unsaid + this.#fresh.length
      if (this.#isOld) event.preventDefault()
    })
    list.addEventListener('htmx:after:swap', () => {
      for (const id of this.#fresh) document.getElementById(id)?.classList.add('fresh')
    })
    list.addEventListener('htmx:finally:request', () => {
      this.#isAsking = false
      this.#tell()
      this.#sayNew()
      clearTimeout(this.#pollTimer)
      if (this.#isLost && !this.#isSignedOut) this.#pollTimer = setTimeout(this.#refresh, POLL_MS)
    })
  }

  #sayNew() {
    const count = this.#unsaid
    if (count === 0 || performance.now() - this.#saidMs < SAY_MS) return
    this.#saidMs = performance.now()
    this.#unsaid = 0
    say(`${count < MANY ? count : `more than ${MANY}`} new ${count === 1 ? 'event' : 'events'}`)
  }

  /** What could not be counted anew stays. */
  #followCounts() {
    document.getElementById('outcomes')?.addEventListener('htmx:before:swap', (event) => {
      if (event.detail.ctx.response.status >= 400) event.preventDefault()
    })
  }

  #followStream() {
    const live = this.#live
    live.addEventListener('over', () => this.#lose())
    live.addEventListener('htmx:sse:after:connection', () => {
      this.#isLost = false
      this.#retryMs = POLL_MS
      this.#tell()
    })
    live.addEventListener('htmx:sse:error', ({ detail }) => this.#lose(detail.status))
    live.addEventListener('htmx:sse:before:connection', (event) => {
      if (this.#isSignedOut) event.preventDefault()
    })
    // The extension tries again only if it has been connected once.
    for (const name of ['htmx:response:error', 'htmx:error'])
      live.addEventListener(name, ({ detail }) => {
        this.#lose(detail.ctx?.response?.status)
        if (this.#isSignedOut) return
        setTimeout(this.#connect, this.#retryMs)
        this.#retryMs = Math.min(MAX_RETRY_MS, 2 * this.#retryMs)
      })
  }

  /** Asks without the stream from now on, until it is there again. */
  #lose(status) {
    const isNew = !this.#isLost
    this.#isLost = true
    this.#isSignedOut = status === 401
    this.#tell()
    if (isNew && !this.#isSignedOut) this.#refresh()
  }
}

{
  const [live, list] = [document.getElementById('live'), document.getElementById('list')]
  if (live && list?.hasAttribute('hx-get') && globalThis.htmx) new LiveList(live, list)
}
