import { expect, onTestFinished, test, vi } from 'vitest'
import { createConsole } from '../../src/http/console/console.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { opsAccess } from '../http/ops-service.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'

/** A console with a clock of its own for its timers. `read` says what its pages ask the store. */
async function startConsole(access: Parameters<typeof opsAccess>[0]) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const store = await openEmptyStore()
  const ports = consolePorts(store, Date.now())
  const read: string[] = []
  const listed = Promise.withResolvers<void>()
  const told = {
    ...ports,
    access: opsAccess(access),
    recentStats: async (...asked: Parameters<typeof ports.recentStats>) => {
      read.push('overview')
      return ports.recentStats(...asked)
    },
    store: {
      ...ports.store,
      events: async (...asked: Parameters<typeof store.events>) => {
        read.push('events')
        listed.resolve()
        return store.events(...asked)
      },
    },
  }
  const app = createOpsListener({ ...told, console: createConsole(told) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => store.close())
  return { app, read, listed: listed.promise }
}

test.each([
  ['with a token', { tokens: ['token-0123456789'] }],
  ['with a token that only reads', { tokens: ['token-0123456789'], readTokens: ['token-9876543210'] }],
  ['without a token', {}],
])('A second after it listens, the console %s has made its first pages once, for nobody.', async (_, access) => {
  const { app, read, listed } = await startConsole(access)
  vi.advanceTimersByTime(999)
  expect(read).toEqual([])
  vi.advanceTimersByTime(1)
  await listed
  await app.close()
  expect(read).toEqual(['overview', 'events'])
})

test('A console that is closed within a second makes no page.', async () => {
  const { app, read } = await startConsole({})
  await app.close()
  vi.advanceTimersByTime(5_000)
  expect(read).toEqual([])
})
