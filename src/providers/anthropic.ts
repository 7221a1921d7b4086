import { valueAt } from '../domain/json.ts'
import { defineProvider, type TaskAnswer, type TaskApi } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/schemes.ts'
import { askFor, isWord } from './task-answer.ts'

/**
 * What the end of a batch comes to: `ended` says only that no request of it is being processed any more. Undefined where
 * nothing tells what became of them.
 */
function endingOf(batch: unknown): 'completed' | 'failed' | 'cancelled' | undefined {
  const counts = valueAt(batch, 'request_counts')
  if (typeof counts !== 'object' || counts === null) return undefined
  const some = (result: string): boolean => {
    const count = valueAt(counts, result)
    return typeof count === 'number' && count > 0
  }
  if (some('succeeded')) return 'completed'
  if (some('errored') || some('expired')) return 'failed'
  return some('canceled') ? 'cancelled' : 'completed'
}

function read(answer: unknown, taskId: string): TaskAnswer | undefined {
  const word = valueAt(answer, 'processing_status')
  if (valueAt(answer, 'id') !== taskId || !isWord(word)) return undefined
  if (word !== 'ended') return { status: 'pending', word }
  const status = endingOf(answer)
  if (status === undefined) return undefined
  return { status, word, event: { type: 'message_batch.ended', data: answer, created_at: valueAt(answer, 'ended_at') } }
}

/** Message batches, of which no webhook tells. Source: anthropic-sdk-typescript. */
const tasks: TaskApi = {
  poll: (taskId) => askFor('/v1/messages/batches', taskId),
  read,
  submit: {
    request: ({ request }) =>
      Array.isArray(valueAt(request, 'requests'))
        ? { method: 'POST', path: '/v1/messages/batches', json: request }
        : undefined,
    taskId: (answer) => valueAt(answer, 'id'),
    callsBack: false,
    idempotent: false,
  },
  pushes: false,
}

/** Anthropic: Standard Webhooks; the body's `type` is always `event`, what happened is in `data.type`. Source: anthropic-sdk-typescript. */
export default defineProvider({
  name: 'anthropic',
  verify: standardWebhooks,
  event: {
    id: ['body:id', 'header:webhook-id'],
    type: ['body:data.type', 'body:type'],
    created_at: 'body:created_at',
    data: 'body:data',
    task: 'body:data.id',
  },
  api: {
    url: 'https://api.anthropic.com',
    headers: (key): Readonly<Record<string, string>> => ({
      'anthropic-version': '2023-06-01',
      ...(key !== undefined && { 'x-api-key': key }),
    }),
    tasks,
  },
})
