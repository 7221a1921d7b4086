import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Provider, TaskAnswer } from '../../src/domain/provider.ts'
import { readEvent } from '../../src/pipeline/read-event.ts'
import { shippedProviders } from '../../src/providers/index.ts'
import { propertyParameters } from '../support/property.ts'
import { shipped, shippedTasks } from '../support/shipped.ts'

type Json = Record<string, unknown>
type Status = 'completed' | 'failed' | 'cancelled'

/** One kind of task of one provider. */
interface Kind {
  readonly provider: string
  readonly id: string
  readonly path: string
  readonly answer: (word: string) => Json
  /** Word of the API → what it comes to, and the type of the provider's own event. */
  readonly ends: readonly (readonly [word: string, status: Status, type: string])[]
  readonly goesOn: readonly string[]
  /** The webhook of the same state. */
  readonly webhook: (word: string, type: string) => Json
}

const thin =
  (id: string) =>
  (_word: string, type: string): Json => ({
    id: 'evt_1',
    object: 'event',
    created_at: 1_750_861_210,
    type,
    data: { id },
  })

const kinds: readonly Kind[] = [
  {
    provider: 'ai',
    id: 't_1',
    path: '/tasks/t_1',
    answer: (status) => ({ status, result: 7 }),
    ends: [
      ['completed', 'completed', 'task.completed'],
      ['failed', 'failed', 'task.failed'],
      ['cancelled', 'cancelled', 'task.cancelled'],
      ['canceled', 'cancelled', 'task.cancelled'],
    ],
    goesOn: ['pending', 'queued', 'processing', 'COMPLETED'],
    webhook: (status) => ({ task_id: 't_1', status }),
  },
  {
    provider: 'openai',
    id: 'resp_1',
    path: '/responses/resp_1',
    answer: (status) => ({ id: 'resp_1', object: 'response', status, output: [] }),
    ends: [
      ['completed', 'completed', 'response.completed'],
      ['failed', 'failed', 'response.failed'],
      ['cancelled', 'cancelled', 'response.cancelled'],
      ['incomplete', 'failed', 'response.incomplete'],
    ],
    goesOn: ['queued', 'in_progress', 'expired', 'succeeded'],
    webhook: thin('resp_1'),
  },
  {
    provider: 'openai',
    id: 'batch_1',
    path: '/batches/batch_1',
    answer: (status) => ({ id: 'batch_1', object: 'batch', status, output_file_id: 'file-1' }),
    ends: [
      ['completed', 'completed', 'batch.completed'],
      ['failed', 'failed', 'batch.failed'],
      ['expired', 'failed', 'batch.expired'],
      ['cancelled', 'cancelled', 'batch.cancelled'],
    ],
    goesOn: ['validating', 'in_progress', 'finalizing', 'cancelling'],
    webhook: thin('batch_1'),
  },
  {
    provider: 'openai',
    id: 'ftjob-1',
    path: '/fine_tuning/jobs/ftjob-1',
    answer: (status) => ({ id: 'ftjob-1', object: 'fine_tuning.job', status }),
    ends: [
      ['succeeded', 'completed', 'fine_tuning.job.succeeded'],
      ['failed', 'failed', 'fine_tuning.job.failed'],
      ['cancelled', 'cancelled', 'fine_tuning.job.cancelled'],
    ],
    goesOn: ['validating_files', 'queued', 'running', 'completed'],
    webhook: thin('ftjob-1'),
  },
  {
    provider: 'replicate',
    id: 'p_1',
    path: '/predictions/p_1',
    answer: (status) => ({ id: 'p_1', status, output: ['x'], completed_at: '2026-01-01T00:00:00Z' }),
    ends: [
      ['succeeded', 'completed', 'prediction.succeeded'],
      ['failed', 'failed', 'prediction.failed'],
      ['canceled', 'cancelled', 'prediction.canceled'],
      ['aborted', 'cancelled', 'prediction.aborted'],
    ],
    goesOn: ['starting', 'processing'],
    webhook: (status) => ({ id: 'p_1', status, output: ['x'] }),
  },
  {
    provider: 'assemblyai',
    id: 'tr_1',
    path: '/v2/transcript/tr_1',
    answer: (status) => ({ id: 'tr_1', status, text: 'hello' }),
    ends: [
      ['completed', 'completed', 'transcript.completed'],
      ['error', 'failed', 'transcript.error'],
    ],
    goesOn: ['queued', 'processing'],
    webhook: (status) => ({ transcript_id: 'tr_1', status }),
  },
]

/** What a handler's thread sees of it: plain JSON. */
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

function endOf(answer: TaskAnswer | undefined): Exclude<TaskAnswer, { status: 'pending' }> {
  if (answer === undefined || answer.status === 'pending') throw new Error(`no end: ${JSON.stringify(answer)}`)
  return answer
}

const webhookOf = (provider: Provider, body: Json) =>
  readEvent(provider, { 'webhook-id': 'msg_1' }, Buffer.from(JSON.stringify(body)), 0)

describe.each(kinds.map((kind) => [`${kind.provider} ${kind.id}`, kind] as const))('the task %s', (_, kind) => {
  const provider = shipped(kind.provider)
  const tasks = shippedTasks(kind.provider)

  test('is polled by its id', () => {
    expect(tasks.poll(kind.id)).toEqual({ method: 'GET', path: kind.path })
  })

  test.each(kind.ends)('ends with %s as %s, as the webhook %s does', (word, status, type) => {
    const { event, ...end } = endOf(tasks.read(throughJson(kind.answer(word)), kind.id))
    expect(end.status).toBe(status)
    expect(event.type).toBe(type)

    const reading = webhookOf(provider, kind.webhook(word, type))
    expect(reading).toMatchObject({ ok: true, fields: { type, task: kind.id } })
    const fields = reading.ok ? reading.fields : { type: '', data: undefined }
    expect(provider.ends?.(fields)).toEqual(end)
    expect(provider.ends?.({ type: event.type, data: event.data })).toEqual(end)
  })

  test.each(kind.ends)('brings with %s the whole answer, as the webhook would', (word, _status, type) => {
    const answer = kind.answer(word)
    const { event } = endOf(tasks.read(answer, kind.id))
    const reading = webhookOf(provider, kind.webhook(word, type))
    const told = reading.ok ? (reading.fields.data as Json) : {}
    expect(event.data).toMatchObject({ ...answer, ...told })
  })

  test.each(kind.goesOn)('goes on with %s', (word) => {
    expect(tasks.read(kind.answer(word), kind.id)).toEqual({ status: 'pending', word })
    const reading = webhookOf(provider, kind.webhook(word, `thing.${word}`))
    expect(provider.ends?.(reading.ok ? reading.fields : { type: '', data: {} })).toBeUndefined()
  })

  test.each(['__proto__', 'constructor', 'toString'])('goes on with %s, which is no status of the provider', (word) => {
    expect(tasks.read(kind.answer(word), kind.id)).toEqual({ status: 'pending', word })
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a list', [kind.answer('completed')]],
    ['a text', 'completed'],
    ['an empty object', {}],
    ['another task', { ...kind.answer('completed'), id: 'another' }],
    ['no status', { ...kind.answer('x'), status: undefined }],
    ['a status that is a number', { ...kind.answer('x'), status: 200 }],
    ['an empty status', kind.answer('')],
    ['a status that no terminal can show', kind.answer('\u001b[2Jcompleted')],
    ['half a character', kind.answer('\ud800')],
    ['a status that is an essay', kind.answer('x'.repeat(257))],
  ])('cannot be read from an answer with %s', (_what, answer) => {
    expect(tasks.read(answer, kind.id)).toBeUndefined()
  })
})

describe('the time at which a task ended', () => {
  const at = (name: string, id: string, answer: Json): unknown =>
    endOf(shippedTasks(name).read({ id, ...answer }, id)).event.created_at

  test.each<[string, string, Json, unknown]>([
    ['ai', 't_1', { status: 'completed', created_at: 1, updated_at: 2, finished_at: 3, completed_at: 4 }, 4],
    ['ai', 't_1', { status: 'failed', created_at: 1, updated_at: 2, finished_at: 3, completed_at: null }, 3],
    ['ai', 't_1', { status: 'failed', created_at: 1, updated_at: 2 }, 2],
    ['ai', 't_1', { status: 'failed', created_at: 1 }, 1],
    ['ai', 't_1', { status: 'failed' }, undefined],
    ['openai', 'resp_1', { status: 'completed', created_at: 1, completed_at: 2 }, 2],
    ['openai', 'resp_1', { status: 'failed', created_at: 1, completed_at: null }, undefined],
    ['openai', 'batch_1', { status: 'expired', created_at: 1, completed_at: null, expired_at: 3, failed_at: 4 }, 3],
    ['openai', 'ftjob-1', { status: 'failed', created_at: 1, finished_at: 2 }, 2],
    ['replicate', 'p_1', { status: 'failed', created_at: 1, completed_at: 2 }, 2],
    ['replicate', 'p_1', { status: 'aborted', created_at: 1, started_at: null }, 1],
    ['assemblyai', 'tr_1', { status: 'error', created: 1 }, undefined],
  ])('is read by %s for %s from the answer %j', (name, id, answer, expected) => {
    expect(at(name, id, answer)).toBe(expected)
  })
})

const asked = shippedProviders.filter(({ api }) => api?.tasks !== undefined)
const someId: Readonly<Record<string, string>> = { openai: 'batch_' }

describe.each(asked.map(({ name }) => [name]))('provider %s', (name) => {
  const { ends, api } = shipped(name)
  const { read, submit } = api?.tasks ?? {}
  const prefix = someId[name] ?? ''

  test('reads any JSON at all, and any event, without throwing', () => {
    const words = ['completed', 'ended', 'succeeded', 'error', 'canceled', '__proto__']
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom<unknown>(...words, `${prefix}x`),
      fc.constant({ valueOf: 1, toString: 1 }),
    )
    const fields = ['id', 'task_id', 'status', 'processing_status', 'request_counts', 'completed_at', '__proto__']
    const answers = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...fields), value))
    fc.assert(
      fc.property(answers, fc.string({ unit: 'binary' }), (made, text) => {
        const answer = throughJson(made)
        for (const id of [text, `${prefix}x`]) {
          const found = read?.(answer, id)
          if (found !== undefined) expect(found.word).not.toBe('')
        }
        ends?.({ type: text, data: answer })
        submit?.taskId(answer)
      }),
      propertyParameters(),
    )
  })

  test('takes nothing from a prototype', () => {
    const answer = Object.create({
      id: `${prefix}x`,
      status: 'completed',
      processing_status: 'ended',
      request_counts: {},
    })
    expect(read?.(answer, `${prefix}x`)).toBeUndefined()
    expect(submit?.taskId(Object.create({ id: 'x', task_id: 'x' }))).toBeUndefined()
  })
})
