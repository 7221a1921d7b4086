import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test, vi } from 'vitest'
import { DriftWatch } from '../../src/monitoring/drift-watch.ts'
import { openSqliteStore } from '../../src/storage/sqlite/open.ts'
import { post, signedEvent } from '../support/events.ts'
import { startLocal } from '../support/local-service.ts'
import { temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'

const entry = {
  source: 'ai',
  type: 'completion.finished',
  path: 'data.usage',
  what: 'new',
  to: 'object',
  atMs: Date.parse('2026-11-20T10:00:00Z'),
  event: '019a0000-0000-7000-8000-000000000001',
} as const

test('drift lists the changes of payloads as a table, as JSON, and by source, type and time', async () => {
  const directory = temporaryDirectory()
  const path = `${directory}/holdfast.db`
  const store = await openSqliteStore(path, { clock: Date.now, monotonicMs: () => performance.now(), onLog: () => {} })
  const changed = {
    ...entry,
    path: 'data.id',
    what: 'changed',
    from: 'number',
    to: 'string',
    atMs: entry.atMs + 1_000,
  } as const
  const save = store.saveShape({
    source: 'ai',
    type: entry.type,
    version: 0,
    shape: '{}',
    savedAtMs: Date.now(),
    entries: [entry, changed],
  })
  await Promise.all([save, store.close()])
  const service = await startLocal({ RETENTION_DAYS: '0' }, { directory })
  const drift = (...args: string[]) => run(['drift', ...args], service.environment)

  const { items } = await service.api('/v1/drift')
  expect(items).toEqual([
    {
      source: 'ai',
      type: entry.type,
      path: 'data.id',
      what: 'changed',
      from: 'number',
      to: 'string',
      at: '2026-11-20T10:00:01.000Z',
      event_uid: entry.event,
    },
    {
      source: 'ai',
      type: entry.type,
      path: 'data.usage',
      what: 'new',
      to: 'object',
      at: '2026-11-20T10:00:00.000Z',
      event_uid: entry.event,
    },
  ])
  const shown = await drift()
  expect(shown).toMatchObject({ code: 0, err: '' })
  expect(shown.out).toMatch(/^SEEN +SOURCE +TYPE +FIELD +CHANGE +EVENT$/m)
  expect(shown.out).toMatch(/data\.id +changed number → string +019a/)
  expect(shown.out).toMatch(/data\.usage +new object +019a/)
  const pathsOf = async (...args: string[]) =>
    JSON.parse((await drift('--json', ...args)).out).items.map(({ path: each }: { path: string }) => each)
  expect(await pathsOf('--until', '2026-11-20T10:00:01Z')).toEqual(['data.usage'])
  expect(await pathsOf('--type', 'other')).toEqual([])
  expect(await drift('--source', 'none')).toMatchObject({
    code: 0,
    err: expect.stringContaining('there is no source none'),
  })
  expect(await service.api('/v1/drift?since=soon')).toMatchObject({ status: 400 })
})

test('the service saves the shape of the events that it has received', async () => {
  const directory = temporaryDirectory()
  const offered = vi.spyOn(DriftWatch.prototype, 'offer')
  onTestFinished(() => offered.mockRestore())
  const service = await startLocal({}, { directory, onEnd: () => {} })
  await post(service.publicUrl, signedEvent('usage.updated', { tokens: 1, user: 'ann' }))
  // The service looks at payloads when it has nothing else to do, which nothing shows outside.
  await expect.poll(() => offered.mock.calls.length).toBe(1)
  const [watch] = offered.mock.contexts as DriftWatch[]
  await watch?.idle()
  await service.stop()
  const db = new DatabaseSync(`${directory}/holdfast.db`, { readOnly: true })
  const row = db.prepare("SELECT shape FROM shape WHERE source = 'ai' AND type = 'usage.updated'").get()
  db.close()
  expect(String(row?.shape)).toContain('"data.tokens"')
  expect(String(row?.shape)).not.toContain('ann')
})
