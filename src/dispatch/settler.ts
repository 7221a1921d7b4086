import type { Logger } from 'pino'
import type { Settlement } from '../domain/delivery.ts'
import type { DeliveryQueue } from '../domain/delivery-queue.ts'
import { messageOf } from '../domain/errors.ts'

/** Wait before settlements that the store refused are tried again. */
const SETTLE_RETRY_MS = 500

/**
 * Brings settlements into the store, all of one turn of the loop in one call. What the store refuses (its disk is full, say) is kept and tried
 * again for as long as the lease could hold; after that the delivery runs again.
 */
export function createSettler(options: {
  readonly store: Pick<DeliveryQueue, 'settle'>
  readonly leaseMs: number
  readonly log: Logger
  /** Called once settlements are committed after which something is to run, with the first time that it is, or may be, due. */
  readonly onDue: (dueAtMs: number) => void
  /** Called when there are fewer unsettled. */
  readonly onSettled: () => void
}) {
  const { store, leaseMs, log, onDue, onSettled } = options
  const calls = new Set<Promise<void>>()
  let waiting: Settlement[] = []
  let unsettled = 0

  async function send(batch: readonly Settlement[]): Promise<void> {
    const giveUpAtMs = performance.now() + leaseMs
    for (let tries = 1; ; tries++) {
      try {
        const took = await store.settle(batch)
        const lost = took.filter((effective) => !effective).length
        // In place of one that is dead another event may run, if that one gave its id up.
        const due = batch.flatMap(({ verdict, dueAtMs }) => (verdict === 'succeeded' ? [] : [dueAtMs]))
        if (due.length > 0) onDue(Math.min(...due))
        if (lost > 0) log.warn({ lost }, 'attempts outlived their lease and were not recorded')
        break
      } catch (error) {
        const isOver = performance.now() >= giveUpAtMs
        if (tries === 1 || isOver)
          log.warn(
            { error: messageOf(error), attempts: batch.length, given_up: isOver },
            'attempts could not be recorded',
          )
        if (isOver) break
        await new Promise((resolve) => setTimeout(resolve, SETTLE_RETRY_MS).unref())
      }
    }
    unsettled -= batch.length
    onSettled()
  }

  function sendWaiting(): void {
    if (waiting.length === 0) return
    const call = send(waiting).finally(() => calls.delete(call))
    waiting = []
    calls.add(call)
  }

  return {
    add(settlement: Settlement): void {
      unsettled++
      waiting.push(settlement)
      if (waiting.length === 1) setImmediate(sendWaiting)
    },
    unsettled: () => unsettled,
    /** Resolves when everything added so far is committed or given up. */
    async flush(): Promise<void> {
      sendWaiting()
      await Promise.all(calls)
    },
  }
}
