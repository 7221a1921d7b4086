import { valueAt } from '../domain/json.ts'
import { isName } from '../domain/names.ts'
import type { TaskAnswer, TaskApi } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { getTask } from './api.ts'
import { defineProvider } from './define-provider.ts'

/** How a request of a batch can end. The API always gives a count for each of the four. */
const RESULTS = ['succeeded', 'errored', 'expired', 'canceled']

/**
 * How a batch ended. The provider's status `ended` says only that no request of the batch is processed any more. The batch counts as
 * completed if one request has succeeded; a handler can read how many have not. Undefined if the counts are missing.
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

/** Message batches, for which Anthropic sends no webhooks. Source: anthropic-sdk-typescript. */
const tasks: TaskApi = {
  poll: (taskId) => getTask('/v1/messages/batches', taskId),
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

/** Anthropic: Standard Webhooks. The body's `type` is always `event`; the event type is in `data.type`. Source: anthropic-sdk-typescript. */
export default defineProvider({
  name: 'anthropic',
  setup: [
    'In the Claude Console, under Manage → Webhooks, create an endpoint with the URL above and the events to send.',
    'Put the signing secret that it shows once (whsec_…) into SOURCE_<NAME>_SECRET and reload.',
  ],
  missed:
    'Anthropic sends them again by itself, at least once. After about 20 failures it switches the webhook off: then switch it on again there.',
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
