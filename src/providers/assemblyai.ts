import { valueAt } from '../domain/json.ts'
import type { TaskApi } from '../domain/provider.ts'
import { type EndStatuses, endsByType, getTask, taskAnswer } from './api.ts'
import { defineProvider } from './define-provider.ts'

const SECRET_HEADER = 'x-webhook-secret'

const endStatuses: EndStatuses = new Map([
  ['completed', 'completed'],
  ['error', 'failed'],
])

/** A transcript does not tell when it ended. The EU region has another base URL. Source: assemblyai 4. */
const tasks: TaskApi = {
  poll: (taskId) => getTask('/v2/transcript', taskId),
  read: (answer, taskId) =>
    valueAt(answer, 'id') === taskId
      ? taskAnswer(endStatuses, valueAt(answer, 'status'), (word) => ({
          type: `transcript.${word}`,
          data: { ...(answer as object), transcript_id: taskId },
        }))
      : undefined,
  submit: {
    request: ({ request, webhookUrl, secret }) => ({
      method: 'POST',
      path: '/v2/transcript',
      json: {
        ...request,
        webhook_url: webhookUrl,
        webhook_auth_header_name: SECRET_HEADER,
        webhook_auth_header_value: secret,
      },
    }),
    taskId: (answer) => valueAt(answer, 'id'),
    callsBack: true,
    idempotent: false,
  },
}

/**
 * AssemblyAI: the request for a transcript names a header that AssemblyAI then sends with the webhook; here it is `x-webhook-secret`
 * with the source's secret. The user makes that secret, so it must have 24 bytes, like an HMAC key. The body,
 * `{"transcript_id", "status"}`, has no id, so the same body twice is a duplicate. Source: assemblyai.com/docs, "Webhooks for
 * pre-recorded audio".
 */
export default defineProvider({
  name: 'assemblyai',
  setup: [
    'Nothing is registered: each request for a transcript names the URL. Begin transcripts by POST /v1/tasks, which adds it, or send the URL as `webhook_url`.',
    'Without /v1/tasks, send `webhook_auth_header_name` x-webhook-secret too, with the value of SOURCE_<NAME>_SECRET.',
  ],
  missed:
    'AssemblyAI does not send again what was refused; what did not arrive, it sends up to 10 times. For tasks that began by POST /v1/tasks the service asks its API.',
  verify: { scheme: 'shared-secret', from: { header: SECRET_HEADER } },
  minKeyBytes: 24,
  event: ({ body }) => {
    const status = valueAt(body, 'status')
    return {
      type: typeof status === 'string' && status !== '' ? `transcript.${status}` : undefined,
      data: body,
      task: valueAt(body, 'transcript_id'),
    }
  },
  ends: endsByType({ transcript: endStatuses }),
  // Events have no id, so each sample is about another transcript, unless the user's data names one.
  samples: ({ id, type, data }) => ({
    body: { transcript_id: id, ...data, status: type.slice(type.indexOf('.') + 1) },
  }),
  api: {
    url: 'https://api.assemblyai.com',
    headers: (key): Readonly<Record<string, string>> => (key === undefined ? {} : { authorization: key }),
    tasks,
  },
})
