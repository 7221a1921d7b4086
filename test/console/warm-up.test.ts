import { expect, onTestFinished, test, vi } from 'vitest'
import { createConsole } from '../../src/http/console/console.ts'
import { samplePage } from '../../src/http/console/warm-up.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'

/** A console with a clock of its own for its timers; `asked`: the paths that were asked for, and `status` where that was read. */
async function startConsole() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const store = await openEmptyStore()
  const asked: string[] = []
  const ports = consolePorts(store, Date.now())
  const told = {
    ...ports,
    status: () => {
      asked.push('status')
      return ports.status()
    },
  }
  const app = createOpsListener({ ...told, console: createConsole(told) })
  app.addHook('onRequest', async ({ url }) => void asked.push(url))
  await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => store.close())
  return { app, asked }
}

test('half a second after it listens, the console has run the code of its pages once, and has read nothing', async () => {
  const { app, asked } = await startConsole()
  vi.advanceTimersByTime(499)
  expect(asked).toEqual([])
  vi.advanceTimersByTime(1)
  await app.close()
  expect(asked).toEqual(['/console/assets/0/icon.svg'])
})

test('a console that is closed sooner does not run it', async () => {
  const { app, asked } = await startConsole()
  await app.close()
  vi.advanceTimersByTime(5_000)
  expect(asked).toEqual([])
})

test('the sample page has plots, tables and a problem, as the pages of operators have', () => {
  const sample = samplePage(Date.UTC(2026, 10, 27, 3))
  for (const part of ['<svg', '<table', '1,234', 'sample', 'aria-current="page"']) expect(sample).toContain(part)
})
