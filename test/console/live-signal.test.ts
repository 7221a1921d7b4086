import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { createConsole } from '../../src/http/console/console.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { LiveFeed } from '../../src/monitoring/live-events.ts'
import { newEvent } from '../contract/store-samples.ts'
import { opsAccess } from '../http/ops-service.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'
import { ask, signedIn } from './visitor.ts'

const TOKEN = 'token-0123456789'

async function startConsole() {
  const store = await openEmptyStore()
  const live = new LiveFeed({ store, log: pino({ level: 'silent' }) })
  let access = opsAccess({ tokens: [TOKEN] })
  const ports = {
    ...consolePorts(store, Date.now()),
    live,
    access: () => access(),
    clock: Date.now,
  }
  const app = createOpsListener({ ...ports, console: createConsole(ports) })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    live.close()
    app.server.closeAllConnections()
    await app.close()
    await store.close()
  })
  return {
    url,
    live,
    append: () => store.append(newEvent()),
    changeToken: () => {
      access = opsAccess({ tokens: ['another-0123456789'] })
    },
  }
}

/** A page that follows the stream. */
async function open(url: string, cookie: string) {
  const closing = new AbortController()
  onTestFinished(() => closing.abort())
  const answer = await fetch(`${url}/console/live`, { headers: { cookie }, signal: closing.signal })
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const isOpen = async (): Promise<boolean> => {
    const { done, value = '' } = (await reader?.read()) ?? { done: true }
    text += value
    return !done
  }
  return {
    answer,
    /** Resolves with how many signals there were, when there are so many, or the stream has ended. */
    signals: async (count: number): Promise<number> => {
      const found = (): number => text.match(/^event: changed$/gm)?.length ?? 0
      while (found() < count && (await isOpen())) {}
      return found()
    },
    /** Resolves with all that was sent, when the stream has ended. */
    end: async (): Promise<string> => {
      while (await isOpen()) {}
      return text
    },
  }
}

test('a page hears that something has come, and nothing of what it is', async () => {
  const { url, append } = await startConsole()
  const { cookie } = await signedIn(url, TOKEN)
  const page = await open(url, cookie)
  expect(page.answer.status).toBe(200)
  expect(Object.fromEntries(page.answer.headers)).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  expect(await page.signals(1)).toBe(1)
  const startedMs = performance.now()
  for (let nth = 0; nth < 50; nth++) await append()
  expect(await page.signals(2)).toBe(2)
  expect(performance.now() - startedMs).toBeLessThan(5_000)
})

test('a stream is refused with 401, and never leads to the page to sign in', async () => {
  const { url } = await startConsole()
  expect((await ask(url, '/console/live')).status).toBe(401)
})

test('a session has four streams: a fifth ends the oldest, and says so', async () => {
  const { url } = await startConsole()
  const [one, other] = [await signedIn(url, TOKEN), await signedIn(url, TOKEN)]
  const first = await open(url, one.cookie)
  const elsewhere = await open(url, other.cookie)
  for (let nth = 0; nth < 3; nth++) await (await open(url, one.cookie)).signals(1)
  const last = await open(url, one.cookie)
  expect(await first.end()).toMatch(
    /^retry: \d+\nevent: changed\ndata:\n\n(event: changed\ndata:\n\n)*event: over\ndata:\n\n$/,
  )
  expect(await last.signals(1)).toBe(1)
  expect(await elsewhere.signals(1)).toBe(1)
})

test('streams end with their session, with the token of the session, and with the service', async () => {
  const { url, live, append, changeToken } = await startConsole()
  const visitor = await signedIn(url, TOKEN)
  const page = await open(url, visitor.cookie)
  await page.signals(1)
  await visitor.send('/console/sign-out')
  expect(await page.end()).not.toContain('over')
  expect((await visitor.get('/console/live')).status).toBe(401)

  const again = await open(url, (await signedIn(url, TOKEN)).cookie)
  await again.signals(1)
  changeToken()
  await append()
  await again.end()

  const last = await open(url, (await signedIn(url, 'another-0123456789')).cookie)
  await last.signals(1)
  live.close()
  await last.end()
})
