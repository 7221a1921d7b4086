import { valueAt } from '../domain/json.ts'
import type { TaskApi } from '../domain/provider.ts'
import { defineProvider } from './define-provider.ts'
import { answerBy, askFor, endsByType, type Words } from './task-answer.ts'

const SECRET_HEADER = 'x-webhook-secret'

const words: Words = new Map([
  ['completed', 'completed'],
  ['error', 'failed'],
])

/** Source: assemblyai 4, whose transcripts do not say when they ended. In the EU the base URL is another. */
const tasks: TaskApi = {
  poll: (taskId) => askFor('/v2/transcript', taskId),
  read: (answer, taskId) =>
    valueAt(answer, 'id') === taskId
      ? answerBy(words, valueAt(answer, 'status'), (word) => ({
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
 * AssemblyAI: each transcript is given the header that its webhook brings along, here `x-webhook-secret` with the source's
 * secret: one of the user's own, so that 24 bytes are asked for as of a key. The body, `{"transcript_id", "status"}`, has no
 * id, so that the same body twice is a duplicate. Source: assemblyai.com/docs, "Webhooks for pre-recorded audio".
 */
export default defineProvider({
  name: 'assemblyai',
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
  ends: endsByType({ transcript: words }),
  api: {
    url: 'https://api.assemblyai.com',
    headers: (key): Readonly<Record<string, string>> => (key === undefined ? {} : { authorization: key }),
    tasks,
  },
})
