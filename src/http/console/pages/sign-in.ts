import { setTimeout as sleep } from 'node:timers/promises'
import { type Credential, type OpsAccess, readCredentials } from '../../ops/access.ts'
import { endSession, setSession } from '../cookies.ts'
import { type Html, html, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import type { ConsoleRoutes } from '../routes.ts'
import { IDLE_MS, type Sessions } from '../session.ts'

/** The first wrong token is answered after this time, each further one after twice the time of the one before, up to the longest. */
const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 16_000
/** After so long without a wrong token, the next one counts as the first. */
const FORGET_MS = 5 * 60_000
/** Wrong tokens whose answers wait; further ones are refused at once, whether they are right or not. */
const MAX_WAITING = 16

export function registerSignIn(
  routes: ConsoleRoutes,
  sessions: Sessions,
  { access, clock }: { readonly access: () => OpsAccess; readonly clock: () => number },
): void {
  const signIn = createSignIn(access, clock)
  routes.page('/sign-in', async ({ query }) => signInPage(pathTo(query.get('to'))), true)
  routes.openForm('/sign-in', async ({ request, reply, field }) => {
    const to = pathTo(field('to'))
    const credential = await signIn(field('token') ?? '')
    if (typeof credential === 'string')
      return { status: credential === 'wrong' ? 401 : 429, page: signInPage(to, credential) }
    const cookie = sessions.begin(credential)
    if (cookie !== undefined) setSession(request, reply, cookie, IDLE_MS / 1_000)
    return to
  })
  routes.form('/sign-out', false, async ({ request, reply }) => {
    endSession(request, reply)
    return '/console/sign-in'
  })
}

/** Tells tokens apart, and slows those down who guess them. */
function createSignIn(access: () => OpsAccess, clock: () => number) {
  let wrong = 0
  let lastWrongMs = Number.NEGATIVE_INFINITY
  let waiting = 0
  return async (token: string): Promise<Credential | 'wrong' | 'too many'> => {
    if (waiting >= MAX_WAITING) return 'too many'
    const credential = readCredentials(access())(`Bearer ${token.trim()}`)
    if (typeof credential === 'object') return credential
    if (clock() - lastWrongMs > FORGET_MS) wrong = 0
    lastWrongMs = clock()
    const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** wrong++)
    waiting++
    try {
      await sleep(delayMs)
    } finally {
      waiting--
    }
    return 'wrong'
  }
}

/** Only a path of the console: a link to the page to sign in must not lead elsewhere. */
export const pathTo = (to: string | undefined | null): string =>
  to !== undefined && to !== null && /^\/console(?:[/?][\x21-\x7e]*)?$/.test(to) && !to.includes('\\') ? to : '/console'

const FAULTS = {
  wrong: 'This is neither OPS_TOKEN nor OPS_READ_TOKEN of the service.',
  'too many': 'Too many wrong tokens were tried. Wait a minute.',
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
