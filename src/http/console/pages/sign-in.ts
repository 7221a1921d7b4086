import { setTimeout as sleep } from 'node:timers/promises'
import { type Credential, type OpsAccess, readCredentials } from '../../ops/access.ts'
import { clientOf } from '../../ops/ops-app.ts'
import { endSession, sessionCookieOf, setSession } from '../cookies.ts'
import { type Html, html, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes } from '../routes.ts'
import type { Sessions } from '../session.ts'

/** The first wrong token is answered after this time, each further one after twice the time of the one before, up to the longest. */
const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 16_000
/** After so long without a wrong token, the next one counts as the first. */
const FORGET_MS = 5 * 60_000
/** Wrong tokens whose answers wait; further wrong ones are refused at once. */
const MAX_WAITING = 16

export function registerSignIn(routes: ConsoleRoutes, sessions: Sessions, { access, clock, log }: ConsolePorts): void {
  const wrongAnswers = delayWrong(clock)
  routes.page(
    '/sign-in',
    async ({ query, request: { credential } }) => {
      const to = pathTo(query.get('to'))
      return credential === null ? signInPage(to) : to
    },
    true,
  )
  routes.openForm('/sign-in', async ({ request, reply, field }) => {
    const to = pathTo(field('to'))
    const credential = tokenIn(access(), field('token') ?? '')
    if (credential === undefined) {
      const isFirst = await wrongAnswers()
      log.warn({ ...clientOf(request), reason: 'token_invalid' }, 'console sign-in refused')
      return { status: isFirst ? 401 : 429, page: signInPage(to, isFirst ? 'wrong' : 'many wrong') }
    }
    const cookie = sessions.begin(credential)
    if (cookie !== undefined) setSession(request, reply, cookie)
    log.info({ ...clientOf(request), ...credential }, 'signed in to the console')
    return to
  })
  routes.form('/sign-out', false, async ({ request, reply }) => {
    const session = sessions.read(sessionCookieOf(request))
    if (session !== undefined) sessions.end(session)
    endSession(request, reply)
    return '/console/sign-in'
  })
}

const tokenIn = (access: OpsAccess, token: string): Credential | undefined => {
  const credential = readCredentials(access)(`Bearer ${token.trim()}`)
  return typeof credential === 'object' ? credential : undefined
}

/**
 * Slows those down who guess tokens. A right token never waits, so that guessing keeps no operator out. Resolves with whether the
 * answer has waited: false if too many wait already. (The API answers wrong tokens at once: what keeps out guesses is the token's length.)
 */
export function delayWrong(clock: () => number, wait: (ms: number) => Promise<unknown> = waitUnreferenced) {
  let wrong = 0
  let lastWrongMs = Number.NEGATIVE_INFINITY
  let waiting = 0
  return async (): Promise<boolean> => {
    if (waiting >= MAX_WAITING) return false
    if (clock() - lastWrongMs > FORGET_MS) wrong = 0
    lastWrongMs = clock()
    waiting++
    try {
      await wait(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** wrong++))
    } finally {
      waiting--
    }
    return true
  }
}

/** Does not keep a process alive that stops. */
const waitUnreferenced = (ms: number) => sleep(ms, undefined, { ref: false })

const MAX_PATH = 4_096

/** A page of the console; a link to the page to sign in must not lead elsewhere. Anything else is the overview. */
export function pathTo(to: string | undefined | null): string {
  const overview = '/console'
  if (!to?.startsWith(overview) || to.length > MAX_PATH || !URL.canParse(to, ANY_ORIGIN)) return overview
  // As a browser reads it: without dots, and with slashes for backslashes.
  const { origin, pathname, search } = new URL(to, ANY_ORIGIN)
  const isPage = /^\/console(?:\/(?!(?:part|assets|live|sign-in|sign-out)(?:\/|$)).*)?$/.test(pathname)
  return origin === ANY_ORIGIN && isPage ? `${pathname}${search}` : overview
}

const ANY_ORIGIN = 'http://localhost'

const FAULTS = {
  wrong: 'This is neither OPS_TOKEN nor OPS_READ_TOKEN of the service.',
  'many wrong': 'This is neither OPS_TOKEN nor OPS_READ_TOKEN of the service, and many wrong ones were tried just now.',
}

const signInPage = (to: string, fault?: keyof typeof FAULTS): Page => ({
  section: undefined,
  title: 'Sign in',
  content: html`<section class="card pad signin" aria-labelledby="signin">
<h1 id="signin">Sign in</h1>
<form method="post" action="/console/sign-in">
<input type="hidden" name="to" value="${own(to)}">
<label for="token">Token</label>
<input id="token" name="token" type="password" required autocomplete="current-password" spellcheck="false" autofocus${when(fault !== undefined, () => INVALID)}>
${fault === undefined ? html`` : html`<p class="bad" id="fault" role="alert">${own(FAULTS[fault])}</p>`}
<button class="btn go" type="submit">Sign in</button>
</form>
<p class="small muted"><code>OPS_TOKEN</code> of the service may look and change things. <code>OPS_READ_TOKEN</code> may only look.</p>
</section>`,
})

const INVALID: Html = html` aria-invalid="true" aria-describedby="fault"`
