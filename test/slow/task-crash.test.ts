import { describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from '../support/service.ts'

const HANDLER = `export default (router) => router.on('task.*', { name: 'end' }, () => {})`

/** The service as a process of its own, again and again in one directory. */
async function crashing() {
  const directory = temporaryDirectory()
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const environment = {
    HANDLERS_DIR: handlersIn(directory, { 'end.ts': HANDLER }),
    SOURCE_AI_API_URL: provider.url,
    SOURCE_AI_API_KEY: 'sk-of-the-test',
    PUBLIC_URL: 'http://127.0.0.1:9',
    TASK_MAX_WAIT_MS: '0',
    POLL_INTERVAL_MS: '50',
  }
  return { provider, start: () => startService(environment, directory) }
}

const submit = (service: Service): Promise<unknown> =>
  fetch(`${service.opsUrl}/v1/tasks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'order-7' },
    body: JSON.stringify({ source: 'ai', submit: { data: { prompt: 'a lighthouse' } } }),
  }).catch(() => undefined)

async function endsOnce(service: Service, provider: FakeProvider, id: string): Promise<void> {
  const task = await service.api(`/v1/tasks/ai/${id}?wait=15`)
  expect(task).toMatchObject({ task_id: id, status: 'completed', resolved_by: 'poll' })
  const { items } = await service.api(`/v1/events?task=${id}`)
  expect(items).toMatchObject([{ uid: task.event_uid, origin: 'poll' }])
  const event = await eventually(
    () => service.api(`/v1/events/${task.event_uid}`),
    ({ deliveries }) => deliveries[0].state === 'succeeded',
  )
  expect(event.deliveries).toHaveLength(1)
  expect(provider.submitted.length).toBeLessThanOrEqual(1)
}

describe('a task whose service crashes during the submission,', () => {
  test.each([
    ['before the provider has it', false],
    ['after the provider has it', true],
  ])('%s, is submitted again under the same key, and there is one task', async (_, created) => {
    const { provider, start } = await crashing()
    provider.misbehaveOnSubmit((nth) => (nth === 1 ? { kind: 'silence', created } : undefined))
    const first = await start()
    const submitting = submit(first)
    await eventually(
      async () => provider.seen.submissions,
      (count) => count === 1,
    )
    expect((await first.api('/v1/tasks')).items).toMatchObject([{ status: 'submitting', task_id: null }])
    await first.kill()
    await submitting

    const second = await start()
    const [task] = await eventually(
      async () => (await second.api('/v1/tasks')).items,
      ([only]) => only.status === 'pending',
    )
    expect(new Set(provider.seen.idempotencyKeys)).toEqual(new Set([task.uid]))
    expect(provider.submitted.map(({ id }) => id)).toEqual([task.task_id])
    expect(provider.submitted[0]?.webhookUrl).toBe('http://127.0.0.1:9/v1/webhooks/ai')
    // The caller submits it again, as after a broken connection, and gets this very task.
    expect(await submit(second).then((answer) => (answer as Response).json())).toMatchObject({ uid: task.uid })
    provider.finish(task.task_id, 'completed')
    await endsOnce(second, provider, task.task_id)
  })
})

test.each([0, 1, 2, 4, 8])(
  'a task whose service crashes %i ms after the provider’s answer to a poll ends exactly once',
  async (delayMs) => {
    const { provider, start } = await crashing()
    let first: Service | undefined
    const killed = Promise.withResolvers<void>()
    provider.misbehave((_, nth) => {
      if (nth === 1) setTimeout(() => void first?.kill().then(killed.resolve), delayMs)
      return undefined
    })
    first = await start()
    const id = provider.create()
    provider.finish(id, 'completed')
    await first
      .api('/v1/tasks', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ source: 'ai', task_id: id }),
      })
      .catch(() => undefined)
    await killed.promise
    await endsOnce(await start(), provider, id)
  },
)
