import type { TaskJson } from '../http/ops/tasks.ts'
import { expect, handled, say, step, times } from './account.ts'
import { eventOf, ops } from './ops.ts'
import type { DemoProvider } from './provider.ts'
import { keptAs } from './sender.ts'
import type { DemoService } from './service.ts'

/** The pace of the demonstration's service: stale after, and looked for every. */
export const MAX_WAIT_MS = 600
export const POLL_INTERVAL_MS = 200

/** So that on the slowest machine nobody asks for a task whose webhook is about to come. */
const PATIENT_WAIT_MS = 15_000
const DEADLINE_MS = 1_200
const WAIT_SECONDS = 10

interface Scene {
  readonly service: DemoService
  readonly provider: DemoProvider
}

/** What becomes of tasks: told by webhook, recovered by poll, told late, and given up. */
export async function tellOfTasks(scene: Scene): Promise<void> {
  const handler = await tellOfWebhook(scene)
  await tellOfLostWebhook(scene, handler)
  await tellOfDeadline(scene)
}

/** Gives the name of the handler. */
async function tellOfWebhook({ service, provider }: Scene): Promise<string | undefined> {
  step('A task is given to the provider, and when it is done its webhook comes: whoever waits is told, and nobody asks')
  const id = await submit(service, 'a haiku', { max_wait_ms: PATIENT_WAIT_MS })
  const waiting = waitFor(service, id)
  waiting.catch(() => {}) // It is awaited below, unless something else fails first.
  const { status } = await ops<TaskJson>(service, `/v1/tasks/ai/${id}`)
  expect(status === 'pending', `${id} to be pending`)
  provider.finish(id)
  say('  the provider finishes it')
  const sentAt = performance.now()
  const uid = keptAs(await provider.sendWebhook(id))
  const handler = await handled(service, uid)
  const { task, answeredAt } = await waiting
  say(`← 200, ${Math.round(answeredAt - sentAt)} ms after the webhook was sent  ${summaryOf(task)}`)
  expect(task.status === 'completed' && task.resolved_by === 'webhook', 'the webhook to resolve it')
  expect(task.event_uid === uid, 'the task to name the event that ended it')
  expect(answeredAt - sentAt < (WAIT_SECONDS * 1_000) / 2, 'the waiter to be answered at once')
  expect(task.polls === 0 && provider.asked(id) === 0, 'nobody to ask')
  return handler
}

async function tellOfLostWebhook({ service, provider }: Scene, handler: string | undefined): Promise<void> {
  step("The next one's webhook is lost: Holdfast asks the provider itself, and the same handler gets the same event")
  const id = await submit(service, 'a limerick')
  provider.finish(id)
  say(`  the provider finishes it, and its webhook is lost; ${MAX_WAIT_MS} ms after the task began, it is asked for`)
  const { task } = await waitFor(service, id)
  const polls = provider.asked(id)
  say(`← 200  ${summaryOf(task)}; asked ${times(polls)}`)
  expect(task.status === 'completed' && task.resolved_by === 'poll', 'a poll to resolve it')
  expect(polls > 0 && task.event_uid !== null, 'the provider to be asked, and an event that came of it')
  const { type, origin } = await eventOf(service, task.event_uid)
  expect(type === 'task.completed' && origin === 'poll', 'an event as the webhook would have been')
  expect((await handled(service, task.event_uid)) === handler, 'the same handler')

  step('The lost webhook arrives after all: it is acknowledged and kept, and nothing runs twice')
  const late = keptAs(await provider.sendWebhook(id))
  const { status, deliveries } = await eventOf(service, late)
  expect(status === 'superseded' && deliveries.length === 0, 'it to be superseded, and no handler to be given it')
  say(`  ${late} is ${status}: no handler is given it`)
  const { resolved_by, event_uid } = await ops<TaskJson>(service, `/v1/tasks/ai/${id}`)
  expect(resolved_by === 'poll' && event_uid === task.event_uid, 'the task to be as it was')
}

async function tellOfDeadline({ service, provider }: Scene): Promise<void> {
  step('A task that never ends is given up at its deadline, and its handler is told')
  const id = await submit(service, 'an epic', { deadline_ms: DEADLINE_MS })
  const { task } = await waitFor(service, id)
  say(`← 200  ${summaryOf(task)}; asked ${times(provider.asked(id))}`)
  expect(task.status === 'expired' && task.resolved_by === 'expiry', 'it to expire')
  expect(task.event_uid !== null, 'an event of it')
  expect((await eventOf(service, task.event_uid)).type === 'task.expired', 'task.expired')
  await handled(service, task.event_uid)
}

const summaryOf = ({ task_id, status, resolved_by }: TaskJson): string =>
  `${task_id} is ${status}, resolved by ${resolved_by}`

/** Gives the provider's id. */
async function submit(service: DemoService, prompt: string, limits: object = {}): Promise<string> {
  const body = JSON.stringify({ source: 'ai', submit: { data: { prompt } }, ...limits })
  say(`→ POST /v1/tasks  ${body}`)
  const { task_id, status } = await ops<TaskJson>(service, '/v1/tasks', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  expect(task_id !== null && status === 'pending', 'the provider to take it')
  say(`← 201  ${task_id} is ${status}`)
  return task_id
}

/** Resolves with the answer, which comes when the task is terminal. */
async function waitFor(service: DemoService, id: string): Promise<{ task: TaskJson; answeredAt: number }> {
  say(`→ GET /v1/tasks/ai/${id}?wait=${WAIT_SECONDS}`)
  const task = await ops<TaskJson>(service, `/v1/tasks/ai/${id}?wait=${WAIT_SECONDS}`)
  return { task, answeredAt: performance.now() }
}
