import { valueAt } from '../domain/json.ts'
import { isName } from '../domain/names.ts'
import type { TaskAnswer, TaskApi } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { defineProvider } from './define-provider.ts'
import { askFor } from './task-answer.ts'

/** What can become of a request of a batch; all four are counted, always. */
const RESULTS = ['succeeded', 'errored', 'expired', 'canceled']

/**
 * What the end of a batch comes to: `ended` says only that no request of it is being processed any more. One that
 * succeeded makes it completed; how many did not is for its handler to read. Undefined where nothing tells what became of
 * them.
 */
function endingOf(batch: unknown): 'completed' | 'failed' | 'cancelled' | undefined {
  const [succeeded, errored, expired, canceled] = RESULTS.map((result) => valueAt(batch, `request_counts.${result}`))
  const counts = [succeeded, errored, expired, canceled]
  if (!counts.every((count): count is number => typeof count === 'number' && count >= 0)) return undefined
  if (Number(succeeded) > 0) return 'completed'
  if (Number(errored) + Number(expired) > 0) return 'failed'
  return Number(canceled) > 0 ? 'cancelled' : 'completed'
}

function read(answer: unknown, taskId: string): TaskAnswer | undefined {
  const word = valueAt(answer, 'processing_status')
  if (valueAt(answer, 'id') !== taskId || !isName(word)) return undefined
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
