import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { eventually } from './eventually.ts'
import type { Fault } from './fake-provider/faults.ts'
import type { WebhookPlan } from './fake-provider/send-webhooks.ts'
import { ENDINGS, type Ending } from './fake-provider/tasks.ts'
import { between, pick, type Random, seededRandom } from './random.ts'
import { QUICK_POLLS, startTaskFlow, type TaskFlow } from './task-flow.ts'

/** Tasks begun at once; the rest follow as those end. */
const AT_ONCE = 100
const MAX_STEP_MS = 300
/** How long the end of a task is waited for. */
const END_SECONDS = 60
const CALL_TIMEOUT_MS = 700

interface Fate {
  readonly truth: Ending
  readonly isSubmitted: boolean
  /** Undefined: the webhook is lost. */
  readonly webhook: WebhookPlan | undefined
  readonly order: 'webhook first' | 'track first' | 'webhook after a poll'
  readonly finishAfterMs: number
  readonly webhookAfterMs: number
}

function fateOf(random: Random): Fate {
  const isSubmitted = random() < 0.3
  const processing = pick(random, ['none', 'before', 'after'] as const)
  return {
    truth: pick(random, ENDINGS),
    isSubmitted,
    webhook:
      random() < 0.4
        ? undefined
        : {
            form: pick(random, ['standard', 'bare'] as const),
            copies: between(random, 1, 3),
            ...(processing !== 'none' && { processing }),
            ...(random() < 0.3 && { reorder: random }),
          },
    order: isSubmitted || random() < 0.8 ? 'track first' : 'webhook first',
    finishAfterMs: between(random, 0, MAX_STEP_MS),
    webhookAfterMs: between(random, 0, MAX_STEP_MS),
  }
}

/**
 * Of each way to end at least one, however fast or slow the machine is: by the webhook, by a poll, and by a poll before a webhook that
 * comes nevertheless.
 */
const SURE_FATES: readonly Fate[] = (
  [
    { order: 'webhook first', webhook: { form: 'standard', copies: 1 } },
    { order: 'track first', webhook: undefined },
    { order: 'webhook after a poll', webhook: { form: 'standard', copies: 1 } },
  ] as const
).map((fate) => ({ ...fate, truth: 'completed', isSubmitted: false, finishAfterMs: 0, webhookAfterMs: 0 }))

/** Two polls of five go wrong, in every way there is. */
function faultOf(random: Random): Fault | undefined {
  if (random() < 0.6) return undefined
  return pick<Fault>(random, [
    { kind: 'status', status: 404 },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 503 },
    rateLimit(random),

    { kind: 'garbage', form: pick(random, ['text', 'wrong-shape', 'other-task'] as const) },
    { kind: 'redirect', status: pick(random, [301, 302, 303, 307, 308] as const) },
    { kind: 'endless' },
    random() < 0.3 ? { kind: 'silence', after: pick(random, ['nothing', 'headers'] as const) } : { kind: 'reset' },
    { kind: 'truncated' },
    { kind: 'slow', delayMs: between(random, 0, MAX_STEP_MS) },
  ])
}

/** A source is left alone for as long as its provider asks; a date, being in whole seconds, asks for up to one. */
function rateLimit(random: Random): Fault {
  if (random() < 0.9) return { kind: 'rate-limited', retryAfterSeconds: 0 }
  return {
    kind: 'rate-limited',
    ...pick(random, [{ retryAfterSeconds: 1 }, { retryAfterSeconds: 0, as: 'date' }] as const),
  }
}

async function live({ provider, service, track, task }: TaskFlow, fate: Fate): Promise<string> {
  const send = (id: string) => fate.webhook && provider.sendWebhook(id, service, fate.webhook)
  if (fate.order === 'webhook first') {
    const id = provider.create()
    provider.finish(id, fate.truth)
    await send(id)
    await track(id)
    return id
  }
  const id = fate.isSubmitted ? await submit(service) : provider.create()
  if (!fate.isSubmitted) await track(id)
  await sleep(fate.finishAfterMs)
  provider.finish(id, fate.truth)
  if (fate.order === 'webhook after a poll') await task(id, END_SECONDS)
  else await sleep(fate.webhookAfterMs)
  await send(id)
  return id
}

async function submit(service: TaskFlow['service']): Promise<string> {
  const { body } = await service.post('/v1/tasks', { source: 'ai', submit: { data: { prompt: 'a lighthouse' } } })
  const { task_id: id, uid } = body as { task_id: string | null; uid: string }
  if (id !== null) return id
  const known = await eventually(
    () => service.api(`/v1/tasks/ai/${uid}`),
    (task) => task.task_id !== null,
    60_000,
  )
  return known.task_id
}

/** Runs all, so many at a time. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  run: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const left = items.map((item, at) => ({ item, at }))
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) results[next.at] = await run(next.item)
    }),
  )
  return results
}

/**
 * So many tasks of a provider that loses, delays, doubles and reorders webhooks and answers polls in every wrong way there is:
 * each has to end as it truly did, with its end handled exactly once by each handler. The same seed gives the same fates.
 */
export async function runSchedule(tasks: number, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const flow = await startTaskFlow({
    pace: QUICK_POLLS,
    misbehave: () => faultOf(random),
    misbehaveOnSubmit: () => (random() < 0.1 ? { kind: 'reset', created: random() < 0.5 } : undefined),
    environment: { TASK_MAX_WAIT_MS: '150', LOG_LEVEL: 'fatal', BODY_LIMIT_BYTES: '100000' },
    tuning: { callTimeouts: { connectMs: 500, totalMs: CALL_TIMEOUT_MS }, breakerPauseMs: 100 },
  })
  const fates = [...SURE_FATES, ...Array.from({ length: tasks - SURE_FATES.length }, () => fateOf(random))]
  const ids = await inParallel(fates, (fate) => live(flow, fate))

  const ended = await inParallel(ids, (id) => flow.task(id, END_SECONDS))
  expect(ended.map(({ status }) => status)).toEqual(fates.map(({ truth }) => truth))
  await flow.settled()
  const handled = Map.groupBy(
    flow.handled().filter(({ type }) => type !== 'task.processing'),
    ({ task, handler }) => `${handler} ${task}`,
  )
  const once = ids.flatMap((id, at) =>
    ['one', 'all'].map((handler) => [`${handler} ${id}`, `task.${fates[at]?.truth}`] as const),
  )
  expect(new Map([...handled].map(([key, events]) => [key, events.map(({ type }) => type).join()] as const))).toEqual(
    new Map(once),
  )
  expect(ended.slice(0, SURE_FATES.length).map(({ resolved_by }) => resolved_by)).toEqual(['webhook', 'poll', 'poll'])
  expect(flow.provider.seen.redirectHits).toBe(0)
  const { items } = await flow.service.api('/v1/events?status=superseded&limit=1')
  expect(items).toHaveLength(1)
}
