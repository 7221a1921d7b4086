import type { OpsAccess } from '../ops/access.ts'
import type { OpsApp } from '../ops/ops-app.ts'
import { ROOT } from './headers.ts'

/** From the moment at which the process listens: what waited for it has the main thread for itself. */
const AFTER_MS = 1_000
/** They have most of the code of all pages. The list stands here without the counts of its page, which may read many events. */
const PATHS = [ROOT, `${ROOT}/part/events`]

/**
 * Makes the first pages once for nobody, soon after the process has begun to listen: code that runs for the first time takes several
 * times as long as later.
 */
export function warmUp(app: OpsApp, access: () => OpsAccess): void {
  let timer: NodeJS.Timeout | undefined
  let making: Promise<void> | undefined
  const begin = (): void => {
    making = makePages(app, access())
  }
  app.addHook('onListen', async () => {
    timer = setTimeout(begin, AFTER_MS).unref()
  })
  // The store closes after the listener.
  app.addHook('preClose', async () => {
    clearTimeout(timer)
    await making
  })
}

async function makePages(app: OpsApp, { tokens, readTokens }: OpsAccess): Promise<void> {
  const [token] = [...readTokens, ...tokens]
  const headers = { host: 'localhost', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  for (const url of PATHS) {
    try {
      await app.inject({ url, headers })
    } catch {
      return // The listener closes.
    }
  }
}
