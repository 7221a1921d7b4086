import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { type Fault, misbehave, REDIRECTED, sendJson } from './faults.ts'
import type { Recorder, SeenRequest } from './ledger.ts'
import type { FakeRegistrations } from './registrations.ts'
import { describeTask, type FakeTasks } from './tasks.ts'

/** Undefined: it behaves. `nth` counts from 1. */
export type PollFault = (taskId: string, nth: number) => Fault | undefined
/** What goes wrong with the nth submission; `created` unless told otherwise, so that the answer alone is lost. */
export type SubmitFault = (nth: number) => (Fault & { readonly created?: boolean }) | undefined

export interface Behaviour {
  /** Undefined: no key is asked for. */
  readonly apiKey: string | undefined
  readonly misbehave: PollFault
  readonly misbehaveOnSubmit: SubmitFault
  /** Whether a poll's answer names its task. */
  readonly namesTask: boolean
}

export interface Routes {
  readonly behaviour: Behaviour
  readonly tasks: FakeTasks
  readonly registrations: FakeRegistrations
  readonly recorder: Recorder
}

interface Exchange {
  readonly seen: SeenRequest
  readonly response: ServerResponse
}

/** Answers one request of the tutorial's generic AI API. */
export async function route(routes: Routes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { recorder, registrations, behaviour } = routes
  const seen = recorder.see(request, response)
  seen.body = await text(request)
  const [, collection, escapedId, ...more] = seen.url.split('/')
  const id = escapedId === undefined ? undefined : decodeURIComponent(escapedId)
  if (`/${collection}` === REDIRECTED) {
    recorder.redirectHits++
    return sendJson(response, 200, describeTask({ id: more.join('/'), status: 'completed' }))
  }
  if (behaviour.apiKey !== undefined && seen.headers.authorization !== `Bearer ${behaviour.apiKey}`)
    return sendJson(response, 401, { error: 'no such key' })
  if (collection === 'tasks' && more.length === 0) {
    if (seen.method === 'POST' && id === undefined) return submit(routes, { seen, response })
    if (seen.method === 'GET' && id !== undefined) return poll(routes, id, { seen, response })
  }
  const answer =
    collection === 'webhooks' && more.length === 0
      ? registrations.answer(seen.method, id, parsed(seen.body))
      : undefined
  if (answer?.status === 204) response.writeHead(204).end()
  else sendJson(response, answer?.status ?? 404, answer?.body ?? { error: 'no such route' })
}

async function submit({ tasks, recorder, behaviour }: Routes, { seen, response }: Exchange): Promise<void> {
  const key = seen.headers['idempotency-key']?.toString()
  const accept = () => tasks.submit(parsed(seen.body), key)
  const truth = (): void => {
    const { task, isNew } = accept()
    sendJson(response, isNew ? 201 : 200, { task_id: task.id })
  }
  const fault = behaviour.misbehaveOnSubmit(recorder.submission(key))
  if (fault === undefined) return truth()
  // A slow answer creates the task when it comes.
  if (fault.created !== false && fault.kind !== 'slow') accept()
  await misbehave(fault, seen.url, response, truth)
}

async function poll(routes: Routes, id: string, { seen, response }: Exchange): Promise<void> {
  const { tasks, recorder, behaviour } = routes
  const truth = (): void => {
    const task = tasks.byId.get(id)
    if (task === undefined) {
      sendJson(response, 404, { error: 'no such task' })
      return
    }
    const { task_id, ...unnamed } = describeTask(task)
    sendJson(response, 200, behaviour.namesTask ? { task_id, ...unnamed } : unnamed)
  }
  const fault = behaviour.misbehave(id, recorder.poll(id))
  if (fault === undefined) truth()
  else await misbehave(fault, seen.url, response, truth)
}

function parsed(body = ''): Record<string, unknown> {
  try {
    return JSON.parse(body)
  } catch {
    return {}
  }
}
