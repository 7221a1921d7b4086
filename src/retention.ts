import type { Logger } from 'pino'
import type { Clock } from './domain/clock.ts'
import { messageOf } from './domain/errors.ts'
import type { Store } from './domain/store.ts'
import type { TaskStore } from './domain/task-store.ts'

const DAY_MS = 86_400_000
const INTERVAL_MS = 3_600_000
/** Events or tasks forgotten in one commit, and the pause after it: acknowledgements never wait for more than one such batch. */
const BATCH_EVENTS = 200
const PAUSE_MS = 50

export interface RetentionOptions {
  readonly store: Pick<Store, 'prune'> & Pick<TaskStore, 'pruneTasks'>
  /** 0: everything is kept for ever. */
  readonly retentionDays: number
  readonly clock: Clock
  readonly log: Logger
}

/** Forgets everything past its retention, batch by batch, until nothing is left or `signal` is aborted. Gives how many events. */
export async function pruneOnce(
  { store, retentionDays, clock }: RetentionOptions,
  signal: AbortSignal,
): Promise<number> {
  const before = clock() - retentionDays * DAY_MS
  const events = await inBatches(() => store.prune(before, BATCH_EVENTS), signal)
  await inBatches(() => store.pruneTasks(before, BATCH_EVENTS), signal)
  return events
}

async function inBatches(prune: () => Promise<number>, signal: AbortSignal): Promise<number> {
  let pruned = 0
  while (!signal.aborted) {
    const count = await prune()
    pruned += count
    if (count < BATCH_EVENTS) break
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  return pruned
}

/** Prunes now and every hour. Gives what stops it. */
export function startRetention(options: RetentionOptions): () => void {
  if (options.retentionDays === 0) return () => {}
  const controller = new AbortController()
  const pass = async (): Promise<void> => {
    try {
      const pruned = await pruneOnce(options, controller.signal)
      if (pruned > 0) options.log.info({ pruned, retention_days: options.retentionDays }, 'old events forgotten')
    } catch (error) {
      if (!controller.signal.aborted) options.log.warn({ error: messageOf(error) }, 'old events could not be forgotten')
    }
  }
  void pass()
  const timer = setInterval(() => void pass(), INTERVAL_MS).unref()
  return () => {
    controller.abort()
    clearInterval(timer)
  }
}
