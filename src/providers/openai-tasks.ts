import { valueAt } from '../domain/json.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { Submission, TaskApi } from '../domain/provider.ts'
import { answerBy, askFor, endsByType, type Words } from './task-answer.ts'

/** What an id's prefix tells: where its object is, how its events' types begin, and the words for its ends. */
interface Kind {
  readonly prefix: string
  readonly path: string
  readonly type: string
  readonly words: Words
}

/** Source: openai-node 7; legacy fine-tuning jobs (`ft-…`) had another API. */
const kinds: readonly Kind[] = [
  {
    prefix: 'resp_',
    path: '/responses',
    type: 'response',
    words: new Map([
      ['completed', 'completed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
      ['incomplete', 'failed'],
    ]),
  },
  {
    prefix: 'batch_',
    path: '/batches',
    type: 'batch',
    words: new Map([
      ['completed', 'completed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
      ['expired', 'failed'],
    ]),
  },
  {
    prefix: 'ftjob-',
    path: '/fine_tuning/jobs',
    type: 'fine_tuning.job',
    words: new Map([
      ['succeeded', 'completed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
    ]),
  },
]

const kindOf = (taskId: string): Kind | undefined => kinds.find(({ prefix }) => taskId.startsWith(prefix))

/** `completed_at`, `expired_at` and the like; a fine-tuning job has one for all its ends, a response for success only. */
const timeOf = (answer: unknown, word: string): unknown =>
  valueAt(answer, `${word}_at`) ?? valueAt(answer, 'finished_at')

/**
 * The endpoint follows from the request. A response becomes a task by running in the background. One that is streamed has
 * no answer to read an id from; one with `store: false` is gone after about ten minutes, asked for or not.
 * Source: developers.openai.com, "Background mode".
 */
function create({ request }: Submission): ApiRequest | undefined {
  const has = (field: string): boolean => (valueAt(request, field) ?? null) !== null
  if (has('input_file_id')) return { method: 'POST', path: '/batches', json: request }
  if (has('training_file')) return { method: 'POST', path: '/fine_tuning/jobs', json: request }
  if (!has('model') && !has('prompt')) return undefined
  if (valueAt(request, 'store') === false || valueAt(request, 'stream') === true) return undefined
  return { method: 'POST', path: '/responses', json: { ...request, background: true } }
}

/** Webhooks are registered for a project, not named by a request. No `Idempotency-Key` is documented. */
export const openaiTasks: TaskApi = {
  poll: (taskId) => {
    const kind = kindOf(taskId)
    return kind && askFor(kind.path, taskId)
  },
  read: (answer, taskId) => {
    const kind = kindOf(taskId)
    if (kind === undefined || valueAt(answer, 'id') !== taskId) return undefined
    return answerBy(kind.words, valueAt(answer, 'status'), (word) => ({
      type: `${kind.type}.${word}`,
      data: answer,
      created_at: timeOf(answer, word),
    }))
  },
  submit: { request: create, taskId: (answer) => valueAt(answer, 'id'), callsBack: false, idempotent: false },
}

export const openaiEnds = endsByType(Object.fromEntries(kinds.map(({ type, words }) => [type, words])))
