import { expect, onTestFinished, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { QUICK_POLLS, startTaskFlow } from '../support/task-flow.ts'

const TASKS = 100
const PAUSE_MS = 300

test('while a provider is down its webhooks are acknowledged and other sources go on; once it is back, all its tasks end', async () => {
  const other = await startFakeProvider()
  onTestFinished(() => other.close())
  const { provider, service, track, task } = await startTaskFlow({
    pace: QUICK_POLLS,
    tuning: { breakerPauseMs: PAUSE_MS },
    environment: {
      SOURCES: 'ai,other',
      SOURCE_OTHER_PROVIDER: 'ai',
      SOURCE_OTHER_SECRET: AI_SECRET,
      SOURCE_OTHER_API_URL: other.url,
    },
  })
  const sourceOf = async (name: string) =>
    (await service.api('/v1/sources')).items.find((source: { name: string }) => source.name === name)
  const breakerOf = async (name: string) => (await sourceOf(name)).breaker
  provider.setDown(true)
  const ids = Array.from({ length: TASKS }, () => provider.create())
  for (const id of ids) provider.finish(id, 'completed')
  await Promise.all(ids.map((id) => track(id)))
  await eventually(
    () => breakerOf('ai'),
    (state) => state === 'open',
  )
  const { outage } = await sourceOf('ai')
  expect(outage).toMatchObject({ since: expect.any(String), cause: expect.stringMatching(/../) })
  expect(outage.retry_in_ms).toBeLessThanOrEqual(PAUSE_MS)

  const acknowledged = await Promise.all(
    Array.from({ length: TASKS }, () => post(service.publicUrl, signedEvent('task.note', { note: 1 }))),
  )
  expect(new Set(acknowledged.map(({ status }) => status))).toEqual(new Set([200]))
  const lost = other.create()
  other.finish(lost, 'completed')
  await service.post('/v1/tasks', { source: 'other', task_id: lost })
  expect(await service.api(`/v1/tasks/other/${lost}?wait=20`)).toMatchObject({ resolved_by: 'poll' })
  expect([await breakerOf('other'), (await task(ids[0] ?? '')).status]).toEqual(['closed', 'pending'])

  provider.setDown(false)
  const ended = await Promise.all(ids.map((id) => task(id, 60)))
  expect(ended.filter(({ status, resolved_by }) => status === 'completed' && resolved_by === 'poll')).toHaveLength(
    TASKS,
  )
  expect(await sourceOf('ai')).toMatchObject({ breaker: 'closed', outage: null })
})
