import { expect, test } from 'vitest'
import { startFakeProvider } from '../support/fake-provider.ts'
import { OPS_READ_TOKEN, OPS_TOKEN, startScene } from './scene.ts'
import { signedIn } from './visitor.ts'

/** What a person reads. */
const read = (html: string): string =>
  html
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&#x2F;', '/')
    .replace(/\s+/g, ' ')

test('tasks are listed, the stale ones first, filtered by the URL, asked about, cancelled, and told in the audit with who did it', async () => {
  const provider = await startFakeProvider()
  const scene = await startScene({ SOURCE_AI_API_URL: provider.url, POLL_INTERVAL_MS: '3600000' })
  const [stale, patient] = [provider.create('gen_stale'), provider.create('gen_patient')]
  await scene.post('/v1/tasks', { source: 'ai', task_id: stale, max_wait_ms: 0, metadata: { order: 7 } })
  await scene.post('/v1/tasks', { source: 'ai', task_id: patient, max_wait_ms: 600_000 })
  const { get, send } = await signedIn(scene.opsUrl, OPS_TOKEN)

  const all = (await get('/console/tasks')).text
  expect(all.indexOf('gen_stale')).toBeGreaterThan(all.indexOf('Stale: no webhook came in time'))
  expect(all.indexOf('gen_stale')).toBeLessThan(all.indexOf('gen_patient'))
  const onlyStale = (await get('/console/tasks?status=stale&source=ai')).text
  expect([onlyStale.includes('gen_stale'), onlyStale.includes('gen_patient')]).toEqual([true, false])
  expect(read((await get('/console/tasks?status=pending&source=shop')).text)).toContain('No task is pending of shop')
  expect(read((await get('/console/tasks?status=expired')).text)).toContain('No task is expired')
  const reader = await signedIn(scene.opsUrl, OPS_READ_TOKEN)
  expect((await reader.get('/console/tasks/ai/gen_patient')).text).not.toContain('Ask now')

  const page = await get('/console/tasks/ai/gen_patient')
  expect(read(page.text)).toMatch(
    /Holdfast waits for a webhook, and asks the provider in .* if none comes; it expires in/,
  )
  expect(page.text).toContain('load delay:10s')
  provider.finish(patient, 'completed')
  expect(await send('/console/tasks/ai/gen_patient/poll')).toMatchObject({ status: 303 })
  const ended = await get('/console/part/tasks/ai/gen_patient')
  expect(read(ended.text)).toMatch(/It ended after .*: completed, as a poll told\./)
  expect(read(ended.text)).toMatch(
    /The provider said “ completed ”, which ended the task it answered in \d+ ms · asked by an operator/,
  )
  expect(read(ended.text)).toMatch(/Event task\.completed made of the answer to a poll, accepted; it ended the task/)
  const [, event = ''] = /href="\/console\/events\/([^"]+)"/.exec(ended.text.replaceAll('&#x2F;', '/')) ?? []
  const story = read((await get(`/console/events/${event}`)).text)
  expect(story).toMatch(/Its task began gen_patient .*The provider said “ completed ”, which ended the task/)
  expect(ended.text).not.toContain('load delay:')
  expect(read((await get('/console/tasks?status=completed')).text)).toContain('ended by poll')
  expect(await send('/console/tasks/ai/gen_stale/cancel')).toMatchObject({ status: 303 })
  expect(await send('/console/tasks/ai/gen_stale/cancel')).toMatchObject({ status: 303 })
  expect(await send('/console/tasks/ai/gen_patient/cancel')).toMatchObject({ status: 409 })

  const audit = read((await get('/console/audit?action=task.*&since=1h')).text)
  expect(audit).toMatch(
    /failed conflict task\.cancel ai\/gen_patient .* done task\.poll ai\/gen_patient .*OPS_TOKEN 127\.0\.0\.1/,
  )
  expect(read((await get('/console/audit?action=nothing.*')).text)).toContain('No change matches')
  const faulty = await get('/console/audit?since=yesterday')
  expect([faulty.status, read(faulty.text).includes('a time is expected')]).toEqual([400, true])
  expect(faulty.text).toContain('value="yesterday"')
})
