import { type Static, Type } from '@sinclair/typebox'
import { HoldfastError } from '../../domain/errors.ts'
import {
  MAX_NAME_LENGTH,
  MAX_TASK_METADATA_BYTES,
  MAX_TASK_MS,
  MAX_TASK_REQUEST_BYTES,
  MAX_WAIT_SECONDS,
} from '../../domain/limits.ts'
import { TASK_STATUSES } from '../../domain/task.ts'
import type { TaskOrder, TaskService } from '../../domain/task-service.ts'
import { within } from '../../domain/within.ts'
import { OneOf, PageOf, pageJson, Text } from '../schemas/schema.ts'
import { TaskDetailSchema, TaskSchema, taskDetailJson, taskJson } from '../schemas/tasks.ts'
import { noteChange } from './audit.ts'
import { clientGone } from './client-gone.ts'
import { longSubmitOf } from './json-body.ts'
import { filterOf, type OpsApp, pageQuery, pageRequest } from './ops-app.ts'

/** The task is told without its questions if they cannot be read by then. */
const QUESTIONS_MS = 1_000

const Body = Type.Object(
  {
    source: Text('Name of the source'),
    task_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_NAME_LENGTH,
        description: "To track a task: the provider's id of a task that the caller has submitted",
      }),
    ),
    submit: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: "To submit a task: the body of the provider's own request",
      }),
    ),
    max_wait_ms: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_TASK_MS,
        description: 'After this time without a webhook the provider is polled',
      }),
    ),
    deadline_ms: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MAX_TASK_MS, description: 'After this time the task expires' }),
    ),
    metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Stored with the task' })),
  },
  { additionalProperties: false },
)

const Headers = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'The same key with the same body makes no second task; with another body, 422' }),
  ),
})

const Query = Type.Object(
  { source: Type.Optional(Text('Name of the source')), status: Type.Optional(OneOf(TASK_STATUSES)), ...pageQuery },
  { additionalProperties: false },
)
const Wait = Type.Object(
  {
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_WAIT_SECONDS,
        description: 'Seconds: answers as soon as the task is terminal, or after this time',
      }),
    ),
  },
  { additionalProperties: false },
)
const Params = Type.Object({ source: Type.String(), task_id: Type.String() })
const PATH = '/v1/tasks/:source/:task_id'
const tags = ['tasks']

export function registerTasks(app: OpsApp, tasks: TaskService): void {
  app.post(
    '/v1/tasks',
    {
      config: { audit: 'task.begin' },
      bodyLimit: MAX_TASK_REQUEST_BYTES + MAX_TASK_METADATA_BYTES,
      schema: {
        summary: 'Track a task that was submitted (task_id), or have it submitted (submit); honours Idempotency-Key',
        tags,
        headers: Headers,
        body: Body,
        response: { 200: TaskSchema, 201: TaskSchema },
      },
    },
    async (request, reply) => {
      const { body, headers } = request
      const { task, created } = await tasks.begin(orderOf(body, headers['idempotency-key']))
      noteChange(request, { target: `${task.source}/${task.id ?? task.uid}` })
      // A repeated request with the same key gets the same answer as the first one.
      return reply.code(created || headers['idempotency-key'] !== undefined ? 201 : 200).send(taskJson(task))
    },
  )

  app.get(
    '/v1/tasks',
    { schema: { summary: 'Tasks, newest first', tags, querystring: Query, response: { 200: PageOf(TaskSchema) } } },
    async ({ query }, reply) => {
      return reply.send(pageJson(await tasks.list(filterOf(query), pageRequest(query)), taskJson))
    },
  )

  registerTask(app, tasks)
}

/** The routes of one task. */
function registerTask(app: OpsApp, tasks: TaskService): void {
  app.get(
    PATH,
    {
      schema: {
        summary: "One task, by the provider's id or by its uid; with wait, when it is terminal",
        tags,
        params: Params,
        querystring: Wait,
        response: { 200: TaskDetailSchema },
      },
    },
    async ({ params: { source, task_id }, query, raw }, reply) => {
      const task = await tasks.show(source, task_id, (query.wait ?? 0) * 1_000, clientGone(raw, reply.raw))
      return reply.send(taskDetailJson(task, await within(QUESTIONS_MS, tasks.questions(task))))
    },
  )

  app.delete(
    PATH,
    {
      config: { audit: 'task.cancel' },
      schema: {
        summary:
          'Cancel a task: no polls, no expiry; a later event about it is handled like any other. A task that has ended stays as it is',
        tags,
        params: Params,
        response: { 200: TaskSchema },
      },
    },
    async (request, reply) => {
      const { source, task_id } = request.params
      const task = await tasks.cancel(source, task_id)
      noteChange(request, { target: `${source}/${task.id ?? task.uid}`, count: task.status === 'cancelled' ? 1 : 0 })
      return reply.send(taskJson(task))
    },
  )

  app.post(
    `${PATH}/poll`,
    {
      config: { audit: 'task.poll' },
      schema: { summary: 'Poll the provider now', tags, params: Params, response: { 200: TaskDetailSchema } },
    },
    async ({ params }, reply) => {
      const task = await tasks.poll(params.source, params.task_id)
      return reply.send(taskDetailJson(task, await within(QUESTIONS_MS, tasks.questions(task))))
    },
  )
}

function orderOf(body: Static<typeof Body>, key: string | undefined): TaskOrder {
  const { source, task_id: taskId, submit, max_wait_ms: maxWaitMs, deadline_ms: deadlineMs, metadata } = body
  if ((taskId === undefined) === (submit === undefined))
    throw new HoldfastError('invalid_request', 'either task_id (to track) or submit (to submit) is needed')
  return {
    source,
    work: submit === undefined ? { taskId: taskId ?? '' } : { submit: longSubmitOf(body) ?? JSON.stringify(submit) },
    ...(maxWaitMs !== undefined && { maxWaitMs }),
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(metadata !== undefined && { metadata }),
    ...(key !== undefined && {
      idempotency: { key: checkedKey(key), beside: { ...body, submit: undefined } },
    }),
  }
}

/** As in draft-ietf-httpapi-idempotency-key-header, quoted or bare. */
function checkedKey(key: string): string {
  if (key.length <= MAX_NAME_LENGTH && /^[\x21-\x7e]+$/.test(key)) return key
  throw new HoldfastError('invalid_request', `an Idempotency-Key has 1 to ${MAX_NAME_LENGTH} visible characters`)
}
