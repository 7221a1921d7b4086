import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { signedHeaders } from '../events.ts'
import { type Random, shuffled } from '../random.ts'
import { describeTask, type FakeTask } from './tasks.ts'

const ATTEMPT_TIMEOUT_MS = 10_000
const RESENDS = 5
const RESEND_DELAY_MS = 50

export interface WebhookPlan {
  /** The event `task.<status>`, or the tutorial's bare `{"task_id", "status"}`. */
  readonly form?: 'standard' | 'bare'
  /** Unless it is the true one. */
  readonly status?: string
  /** How often the very same webhook is sent; 1 unless given. */
  readonly copies?: number
  /** A `processing` webhook, which ends nothing. */
  readonly processing?: 'before' | 'after'
  /** Before each. */
  readonly delayMs?: number
  /** Sends them in an order of its own. */
  readonly reorder?: Random
  /** How often one is sent again that was not acknowledged: 503, or no answer. */
  readonly resends?: number
  readonly resendDelayMs?: number
  readonly secret?: string
}

export interface SentWebhook {
  readonly id: string
  readonly body: string
  /** Of each attempt; 0 where there was no answer. */
  readonly statuses: readonly number[]
  readonly isAcknowledged: boolean
}

interface Webhook {
  readonly id: string
  readonly body: string
}

/** Sends a task's webhooks, one after the other, as a provider does: each attempt is signed anew under the same id. */
export async function sendWebhooks(url: string, task: FakeTask, plan: WebhookPlan = {}): Promise<SentWebhook[]> {
  const sent: SentWebhook[] = []
  for (const webhook of webhooksOf(task, plan)) {
    if (plan.delayMs !== undefined) await sleep(plan.delayMs)
    sent.push(await deliver(url, webhook, plan))
  }
  return sent
}

function webhooksOf(task: FakeTask, plan: WebhookPlan): Webhook[] {
  const { form = 'standard', status = task.status, copies = 1, processing, reorder } = plan
  const repeated = Array<Webhook>(copies).fill(webhookOf(task.id, status, form))
  const ongoing = webhookOf(task.id, 'processing', form)
  const all = [...(processing === 'before' ? [ongoing] : []), ...repeated, ...(processing === 'after' ? [ongoing] : [])]
  return reorder === undefined ? all : shuffled(reorder, all)
}

function webhookOf(taskId: string, status: string, form: 'standard' | 'bare'): Webhook {
  if (form === 'bare') return { id: `msg_${randomUUID()}`, body: JSON.stringify({ task_id: taskId, status }) }
  const id = `evt_${randomUUID()}`
  const data = describeTask({ id: taskId, status })
  const body = JSON.stringify({ id, type: `task.${status}`, created_at: new Date().toISOString(), data })
  return { id, body }
}

async function deliver(url: string, { id, body }: Webhook, plan: WebhookPlan): Promise<SentWebhook> {
  const { resends = RESENDS, resendDelayMs = RESEND_DELAY_MS, secret } = plan
  const statuses: number[] = []
  for (let attempt = 0; attempt <= resends; attempt++) {
    if (attempt > 0) await sleep(resendDelayMs)
    const status = await attemptOnce(url, body, signedHeaders(body, secret, id))
    statuses.push(status)
    if (status !== 503 && status !== 0) break
  }
  const last = statuses.at(-1) ?? 0
  return { id, body, statuses, isAcknowledged: last >= 200 && last < 300 }
}

async function attemptOnce(url: string, body: string, headers: Record<string, string>): Promise<number> {
  const signal = AbortSignal.timeout(ATTEMPT_TIMEOUT_MS)
  try {
    const answer = await fetch(url, { method: 'POST', body, headers, signal, redirect: 'manual' })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return 0
  }
}
