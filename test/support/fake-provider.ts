import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Ledger, Recorder } from './fake-provider/ledger.ts'
import { FakeRegistrations } from './fake-provider/registrations.ts'
import { type PollFault, route, type SubmitFault } from './fake-provider/routes.ts'
import { type SentWebhook, sendWebhooks, type WebhookPlan } from './fake-provider/send-webhooks.ts'
import { type Ending, type FakeTask, FakeTasks } from './fake-provider/tasks.ts'

export interface FakeProviderOptions {
  /** Asked for as a Bearer key in every request; absent: none is. */
  readonly apiKey?: string
  /** What goes wrong with the nth poll (from 1) of a task. */
  readonly misbehave?: PollFault
  readonly misbehaveOnSubmit?: SubmitFault
  /** Whether a poll's answer names its task; true unless told otherwise. */
  readonly namesTask?: boolean
}

/** Where a task's webhooks go: to a source at Holdfast's public listener, or to the URL that came with the task. */
export type WebhookTarget = { readonly publicUrl: string; readonly source?: string } | 'webhook_url'

/** A provider over real HTTP that speaks the tutorial's generic AI API, and behaves badly on demand. */
export interface FakeProvider {
  /** The base of its API. */
  readonly url: string
  readonly seen: Ledger
  readonly registrations: FakeRegistrations
  /** Those that came by `POST /tasks`; a repeated `Idempotency-Key` makes no second one. */
  readonly submitted: readonly FakeTask[]
  /** Gives the id. */
  create(taskId?: string): string
  /** Sets what is true of a task; its webhooks are sent by `sendWebhook` alone. */
  finish(taskId: string, status: Ending): void
  /** Rejects only if there is no such task or target. */
  sendWebhook(taskId: string, target: WebhookTarget, plan?: WebhookPlan): Promise<SentWebhook[]>
  misbehave(fault: PollFault): void
  misbehaveOnSubmit(fault: SubmitFault): void
  /** While it is down, every connection is reset, those that are open at once. */
  setDown(isDown: boolean): void
  /** Ends every connection, silent and endless ones too. Idempotent. */
  close(): Promise<void>
}

const behaves = (): undefined => undefined

export async function startFakeProvider(options: FakeProviderOptions = {}): Promise<FakeProvider> {
  const behaviour = {
    apiKey: options.apiKey,
    misbehave: options.misbehave ?? behaves,
    misbehaveOnSubmit: options.misbehaveOnSubmit ?? behaves,
    namesTask: options.namesTask ?? true,
  }
  const tasks = new FakeTasks()
  const registrations = new FakeRegistrations()
  const recorder = new Recorder()
  const door = await openDoor((request, response) =>
    route({ behaviour, tasks, registrations, recorder }, request, response),
  )
  return {
    url: door.url,
    seen: recorder,
    registrations,
    submitted: tasks.submitted,
    create: (taskId) => tasks.create(taskId).id,
    finish: (taskId, status) => {
      tasks.get(taskId).status = status
    },
    sendWebhook: async (taskId, target, plan) => {
      const task = tasks.get(taskId)
      return sendWebhooks(urlOf(target, task), task, plan)
    },
    misbehave: (fault) => {
      behaviour.misbehave = fault
    },
    misbehaveOnSubmit: (fault) => {
      behaviour.misbehaveOnSubmit = fault
    },
    setDown: door.setDown,
    close: door.close,
  }
}

function urlOf(target: WebhookTarget, task: FakeTask): string {
  if (target !== 'webhook_url') return `${target.publicUrl}/v1/webhooks/${target.source ?? 'ai'}`
  if (task.webhookUrl === undefined) throw new Error(`the task ${task.id} came without a webhook_url`)
  return task.webhookUrl
}

type Door = Pick<FakeProvider, 'url' | 'setDown' | 'close'>
type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** A listener whose connections can all be ended at once. An answer that fails ends its connection. */
async function openDoor(answer: Answer): Promise<Door> {
  const sockets = new Set<Socket>()
  let isDown = false
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    answer(request, response).catch(() => request.socket.destroy())
  })
  server.on('connection', (socket) => {
    if (isDown) {
      socket.resetAndDestroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const reset = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  let closing: Promise<unknown> | undefined
  return {
    url: `http://127.0.0.1:${port}`,
    setDown(next) {
      isDown = next
      if (isDown) reset()
    },
    async close() {
      closing ??= new Promise((resolve) => server.close(resolve))
      reset()
      await closing
    },
  }
}
