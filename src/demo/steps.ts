import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TaskJson } from '../http/schemas/tasks.ts'
import { sampleData } from '../providers/samples/ai.ts'
import { newStandardSecret } from '../signatures/standard-webhooks.ts'
import { expect, say, step, times } from './narration.ts'
import { createSender, type DemoProvider, eventBody, keptAs, type WebhookSender } from './provider.ts'
import { type DemoService, eventOf, handled, ops } from './service.ts'

const MAX_LOOKS = 100
const LOOK_AGAIN_MS = 20

const ANOTHER_SECRET = newStandardSecret()

const completion = (id: string): string => eventBody(id, 'completion.finished', sampleData('completion.finished'))

/** Sends events: good ones, invalid ones, forged ones, and some whose handler fails. */
export async function showEvents(service: DemoService, sender: WebhookSender, directory: string): Promise<void> {
  const url = `${service.publicUrl}/v1/webhooks/ai`
  await showReceiving(service, sender, url)

  step('A handler that fails is run again after a while, and again, until it succeeds')
  const shaky = keptAs(await sender.send(url, eventBody('evt_5', 'demo.shaky', {})))
  for (let failures = 0; failures < 2; failures++) {
    const line = await service.logged(({ uid, msg }) => uid === shaky && msg === 'attempt failed')
    say(`  handler ${line.handler}, attempt ${line.attempt}: ${line.error}; again in ${line.retry_in_ms} ms`)
  }
  await handled(service, shaky)

  step('A handler that fails for good leaves a dead letter; the cause is mended, and it is replayed')
  const invoice = keptAs(await sender.send(url, eventBody('evt_6', 'demo.invoice', { amount: 7 })))
  const dead = await service.logged(({ uid, msg }) => uid === invoice && msg === 'delivery dead')
  say(`  handler ${dead.handler}: ${dead.error}; the delivery is dead`)
  await deadLetterOf(service, invoice)
  writeFileSync(join(directory, 'ledger-is-open'), '')
  say(`→ POST /v1/events/${invoice}/replay`)
  await ops(service, `/v1/events/${invoice}/replay`, { method: 'POST' })
  await handled(service, invoice)
}

/** Waits until the store shows the dead letter: the service logs it before the commit. */
async function deadLetterOf(service: DemoService, uid: string): Promise<void> {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const { items } = await ops<{ items: { event_uid: string }[] }>(service, '/v1/deliveries?state=dead')
    if (items.some(({ event_uid }) => event_uid === uid)) return
    await sleep(LOOK_AGAIN_MS)
  }
  expect(false, 'a dead letter')
}

async function showReceiving(service: DemoService, sender: WebhookSender, url: string): Promise<void> {
  step('An event arrives: it is proven authentic, written to disk, acknowledged, and then handled')
  const body = completion('evt_1')
  const first = keptAs(await sender.send(url, body))
  await handled(service, first)

  step('The provider sends it again: it knows the first, and nothing runs twice')
  const again = await sender.send(url, body)
  expect(again.duplicate && again.uid === first, 'a duplicate of the first')

  step('A stranger sends an event: it is signed with another secret')
  const forged = await createSender(ANOTHER_SECRET).send(url, completion('evt_2'))
  expect(forged.status === 401, '401')

  step(
    'An event that no handler wants, and one that does not match its schema: both are kept, and the provider gets 200',
  )
  const unhandled = keptAs(await sender.send(url, eventBody('evt_3', 'weather.changed', {})))
  const odd = keptAs(await sender.send(url, eventBody('evt_4', 'completion.finished', { completion_id: 7 })))
  for (const uid of [unhandled, odd]) {
    const { status, reasons } = await eventOf(service, uid)
    expect(status === (uid === odd ? 'quarantined' : 'unhandled'), 'one unhandled and one quarantined')
    say(`  ${uid} is ${status}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`)
  }
}

/** How long the service waits for a webhook before it polls a task, and how often it looks for tasks to poll. */
export const MAX_WAIT_MS = 600
export const POLL_INTERVAL_MS = 200

/** So long that Holdfast does not poll a task before its webhook comes, even on the slowest machine. */
const PATIENT_WAIT_MS = 15_000
const DEADLINE_MS = 1_200
const WAIT_SECONDS = 10

interface Scene {
  readonly service: DemoService
  readonly provider: DemoProvider
}

/** Submits tasks: one ends by webhook, one by poll before its late webhook, one at its deadline. */
export async function showTasks(scene: Scene): Promise<void> {
  const handler = await showWebhook(scene)
  await showLostWebhook(scene, handler)
  await showDeadline(scene)
}

/** Resolves with the name of the handler. */
async function showWebhook({ service, provider }: Scene): Promise<string | undefined> {
  step('A task is submitted, and its webhook comes when it is done: the waiting caller gets it, and no poll is needed')
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
  expect(task.polls === 0 && provider.polls(id) === 0, 'no poll')
  return handler
}

async function showLostWebhook({ service, provider }: Scene, handler: string | undefined): Promise<void> {
  step("The next one's webhook is lost: Holdfast asks the provider itself, and the same handler gets the same event")
  const id = await submit(service, 'a limerick')
  provider.finish(id)
  say(`  the provider finishes it, and its webhook is lost; ${MAX_WAIT_MS} ms after the task began, it is asked for`)
  const { task } = await waitFor(service, id)
  const polls = provider.polls(id)
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

async function showDeadline({ service, provider }: Scene): Promise<void> {
  step('A task that never ends expires at its deadline, and its handler gets that event')
  const id = await submit(service, 'an epic', { deadline_ms: DEADLINE_MS })
  const { task } = await waitFor(service, id)
  say(`← 200  ${summaryOf(task)}; asked ${times(provider.polls(id))}`)
  expect(task.status === 'expired' && task.resolved_by === 'expiry', 'it to expire')
  expect(task.event_uid !== null, 'an event of it')
  expect((await eventOf(service, task.event_uid)).type === 'task.expired', 'task.expired')
  await handled(service, task.event_uid)
}

const summaryOf = ({ task_id, status, resolved_by }: TaskJson): string =>
  `${task_id} is ${status}, resolved by ${resolved_by}`

/** Resolves with the provider's id of the task. */
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
