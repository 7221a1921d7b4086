import { randomUUID } from 'node:crypto'

export const ENDINGS = ['completed', 'failed', 'cancelled'] as const
export type Ending = (typeof ENDINGS)[number]

export interface FakeTask {
  readonly id: string
  /** What is true, whatever a poll says. */
  status: 'processing' | Ending
  readonly webhookUrl: string | undefined
  readonly request: Readonly<Record<string, unknown>>
}

/** The tasks of the fake provider. */
export class FakeTasks {
  readonly byId = new Map<string, FakeTask>()
  /** Those that came by `POST /tasks`, each once. */
  readonly submitted: FakeTask[] = []
  readonly #byKey = new Map<string, FakeTask>()

  create(id = `task_${randomUUID()}`, request: FakeTask['request'] = {}): FakeTask {
    if (this.byId.has(id)) throw new Error(`there is a task ${id} already`)
    const { webhook_url: url } = request
    const webhookUrl = typeof url === 'string' ? url : undefined
    const task: FakeTask = { id, status: 'processing', webhookUrl, request }
    this.byId.set(id, task)
    return task
  }

  /** The same key gives the same task, whatever the request. */
  submit(request: FakeTask['request'], key: string | undefined): { readonly task: FakeTask; readonly isNew: boolean } {
    const known = key === undefined ? undefined : this.#byKey.get(key)
    if (known !== undefined) return { task: known, isNew: false }
    const task = this.create(undefined, request)
    this.submitted.push(task)
    if (key !== undefined) this.#byKey.set(key, task)
    return { task, isNew: true }
  }

  get(id: string): FakeTask {
    const task = this.byId.get(id)
    if (task === undefined) throw new Error(`there is no task ${id}`)
    return task
  }
}

/** What a poll answers, and a webhook carries. */
export function describeTask({ id, status }: Pick<FakeTask, 'id'> & { status: string }): Record<string, unknown> {
  return {
    task_id: id,
    status,
    ...(status === 'completed' && { result: { output: `of ${id}` } }),
    ...(status === 'failed' && { error: { message: `${id} has failed` } }),
  }
}
