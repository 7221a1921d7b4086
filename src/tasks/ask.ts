import { parseJson } from '../domain/json.ts'
import type { CallProvider, CallResult } from '../domain/outbound.ts'
import type { TaskAnswer, TaskApi } from '../domain/provider.ts'
import type { Answer } from '../domain/recover.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { type Trouble, troubleOf } from './answers.ts'

/** What one question to a provider came to. */
export type Asked =
  | { readonly outcome: 'terminal'; readonly answer: Answer }
  | { readonly outcome: 'pending'; readonly word: string }
  | Trouble

/** Asks a provider for one task. Never rejects. */
export async function ask(
  api: TaskApi,
  call: CallProvider,
  taskId: string,
  nowMs: () => number,
  signal?: AbortSignal,
): Promise<Asked> {
  const request = api.poll(taskId)
  if (request === undefined) return { outcome: 'invalid', error: 'the provider has no task of such an id' }
  const result = await call(request, signal)
  if (!isSuccess(result)) return troubleOf(result, nowMs())
  const read = readSafely(api, result.body, taskId)
  if (read === undefined) return { outcome: 'invalid', error: 'the answer says nothing of this task' }
  if (read.status === 'pending') return { outcome: 'pending', word: read.word }
  return { outcome: 'terminal', answer: { headers: result.headers, body: result.body } }
}

export const isSuccess = (result: CallResult): result is Extract<CallResult, { ok: true }> =>
  result.ok && result.status >= 200 && result.status < 300

function readSafely(api: TaskApi, body: Buffer, taskId: string): TaskAnswer | undefined {
  const parsed = parseJson(body)
  try {
    const answer = parsed.ok ? api.read(parsed.value, taskId) : undefined
    // That type is Holdfast's own.
    return answer?.status !== 'pending' && answer?.event.type === EXPIRED_TYPE ? undefined : answer
  } catch {
    return undefined
  }
}
