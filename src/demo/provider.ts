import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import ai from '../providers/ai/provider.ts'
import { signRequest } from '../signatures/registry.ts'
import { expect, say, shortened } from './narration.ts'

/** A provider over real HTTP with the tutorial's generic AI API. Prints what the provider does. */
export interface DemoProvider {
  /** The base of its API. */
  readonly url: string
  /** How often Holdfast has polled a task. */
  polls(taskId: string): number
  /** Completes the task. Does not send its webhook: `sendWebhook` does. */
  finish(taskId: string): void
  /** Sends the task's webhook to the URL that was submitted with the task. */
  sendWebhook(taskId: string): Promise<Answer>
  close(): Promise<void>
}

interface DemoTask {
  readonly prompt: unknown
  readonly webhookUrl: string
  status: 'processing' | 'completed'
  polls: number
}

interface ApiAnswer {
  readonly status: number
  readonly body: object
}

const stateOf = (taskId: string, { status, prompt }: DemoTask): object => ({
  task_id: taskId,
  status,
  ...(status === 'completed' && { result: { text: `An answer to ${JSON.stringify(prompt)}` } }),
})

export async function startProvider(apiKey: string, sender: WebhookSender): Promise<DemoProvider> {
  const works = new Map<string, DemoTask>()

  function workOf(taskId: string): DemoTask {
    const work = works.get(taskId)
    expect(work !== undefined, `the provider to have ${taskId}`)
    return work
  }

  async function submit(request: IncomingMessage): Promise<ApiAnswer> {
    const { data, webhook_url } = (await json(request)) as { data?: { prompt?: unknown }; webhook_url?: string }
    if (webhook_url === undefined) return { status: 422, body: { error: 'webhook_url is missing' } }
    const taskId = `task_${works.size + 1}`
    works.set(taskId, { prompt: data?.prompt, webhookUrl: webhook_url, status: 'processing', polls: 0 })
    say(`  the provider is given it: POST /tasks, answered with ${taskId}`)
    return { status: 201, body: { task_id: taskId } }
  }

  function show(taskId: string): ApiAnswer {
    const work = works.get(taskId)
    if (work === undefined) return { status: 404, body: { error: 'no such task' } }
    work.polls++
    say(`  the provider is asked: GET /tasks/${taskId}, answered with ${work.status}`)
    return { status: 200, body: stateOf(taskId, work) }
  }

  async function replyTo(request: IncomingMessage): Promise<ApiAnswer> {
    if (request.headers.authorization !== `Bearer ${apiKey}`) return { status: 401, body: { error: 'no such key' } }
    const [, collection, taskId, ...more] = (request.url ?? '').split('/')
    const isTasks = collection === 'tasks' && more.length === 0
    if (isTasks && request.method === 'POST' && taskId === undefined) return submit(request)
    if (isTasks && request.method === 'GET' && taskId !== undefined) return show(taskId)
    return { status: 404, body: { error: 'no such route' } }
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await replyTo(request)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    polls: (taskId) => workOf(taskId).polls,
    finish: (taskId) => {
      workOf(taskId).status = 'completed'
    },
    sendWebhook: (taskId) => {
      const work = workOf(taskId)
      return sender.send(work.webhookUrl, eventBody(`evt_${taskId}`, `task.${work.status}`, stateOf(taskId, work)))
    },
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** What Holdfast answers to a webhook. */
interface Answer {
  readonly status: number
  readonly uid: string
  readonly duplicate: boolean
  readonly title?: string
}

export interface WebhookSender {
  /** Signs a body as the provider would, sends it, and prints the answer. */
  send(url: string, body: string): Promise<Answer>
  /** Uids of the events that Holdfast has acknowledged. */
  readonly acknowledged: ReadonlySet<string>
}

export function createSender(secret: string): WebhookSender {
  const acknowledged = new Set<string>()
  return {
    acknowledged,
    async send(url, body) {
      const bytes = Buffer.from(body)
      const { headers } = signRequest(ai.verify, secret, { id: `msg_${randomUUID()}`, body: bytes, nowMs: Date.now() })
      say(`→ POST ${new URL(url).pathname}  ${shortened(body)}`)
      const startedAt = performance.now()
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: bytes,
      })
      const answer = { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) }
      if (response.ok) acknowledged.add(answer.uid)
      const ms = (performance.now() - startedAt).toFixed(1)
      const kept = answer.duplicate ? `duplicate of ${answer.uid}` : `kept as ${answer.uid}`
      say(`← ${response.status} after ${ms} ms  ${response.ok ? kept : answer.title}`)
      return answer
    },
  }
}

export const eventBody = (id: string, type: string, data: unknown): string =>
  JSON.stringify({ id, type, created_at: new Date().toISOString(), data })

/** The uid of an event that was acknowledged as new; throws for any other answer. */
export function keptAs({ status, uid, duplicate }: Answer): string {
  expect(status === 200 && !duplicate, '200, and that it is new')
  return uid
}
