import type { Clock } from '../domain/clock.ts'
import type { Asked } from '../domain/task-question.ts'

export interface AskClocks {
  readonly clock: Clock
  /** A monotonic clock. */
  readonly monotonicMs?: () => number
}

/** Asks a provider, and tells when that was and how long it took. Rejects as `question` does. */
export async function ask<Result>(
  about: Pick<Asked, 'kind' | 'by'>,
  { clock, monotonicMs = () => performance.now() }: AskClocks,
  question: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly asked: Asked }> {
  const [atMs, startedMs] = [clock(), monotonicMs()]
  const result = await question()
  return { result, asked: { ...about, atMs, durationMs: monotonicMs() - startedMs } }
}
