import { describe, expect, test } from 'vitest'
import { catalogue } from '../../src/domain/event-catalogue.ts'
import { compileSchema } from '../../src/pipeline/schema/schema.ts'
import { shipped, shippedTasks } from '../support/shipped.ts'

type Json = Record<string, unknown>

describe('the generic API', () => {
  const { read } = shippedTasks('ai')

  test.each<[string, Json]>([
    ['no id', { status: 'completed' }],
    ['its id', { status: 'completed', id: '7' }],
    ['its id as a number', { status: 'completed', task_id: 7 }],
    ['a row’s id beside the task’s', { status: 'completed', task_id: '7', id: 'row_1' }],
  ])('may answer with %s, and the event is as the catalogue says', (_what, answer) => {
    const { event } = read(answer, '7') as { event: { data: unknown } }
    expect(event.data).toMatchObject({ task_id: '7', status: 'completed' })
    expect(compileSchema(catalogue['task.completed'])(event.data)).toEqual([])
  })

  test.each<[string, unknown]>([
    ['another', '8'],
    ['another number', 8],
    ['an object', { id: '7' }],
    ['a word', true],
  ])('does not end a task with an answer whose task id is %s', (_what, task_id) => {
    expect(read({ status: 'completed', id: '7', task_id }, '7')).toBeUndefined()
  })

  test.each([
    ['task.expired', 'expired', 'expired'],
    ['task.canceled', 'cancelled', 'canceled'],
    ['batch.completed', 'completed', 'completed'],
    ['batch.failed', 'failed', 'failed'],
    ['batch.cancelled', 'cancelled', 'cancelled'],
    ['completion.finished', 'completed', 'finished'],
    ['completion.failed', 'failed', 'failed'],
  ])('ends a task by %s', (type, status, word) => {
    expect(shipped('ai').ends?.({ type, data: {} })).toEqual({ status, word })
  })

  test.each(['completion.started', 'batch.created', 'job.failed', 'task.processing', 'task', '', '__proto__'])(
    'does not end a task by %s',
    (type) => {
      expect(shipped('ai').ends?.({ type, data: {} })).toBeUndefined()
    },
  )
})
