import type { DatabaseSync } from 'node:sqlite'
import type { DeliveryState } from '../../domain/delivery.ts'
import type { Counts } from '../../domain/store-health.ts'
import type { TaskStatus } from '../../domain/task.ts'
import { countsOf, MAX_UNSERVED } from '../shared/deliveries.ts'
import { prepareOldestDue, preparePendingHandlers } from './due-deliveries.ts'

export function prepareCounts(db: DatabaseSync): (nowMs: number, served?: readonly string[]) => Counts {
  const select = db.prepare('SELECT state, n FROM tally')
  const oldestDue = prepareOldestDue(db)
  const pendingHandlers = preparePendingHandlers(db)
  return (nowMs, served) => {
    const counts = countsOf(select.all() as { state: string; n: number }[], oldestDue(nowMs))
    if (served === undefined) return counts
    const unserved = [...pendingHandlers()].filter((handler) => !served.includes(handler))
    return { ...counts, unserved: unserved.slice(0, MAX_UNSERVED) }
  }
}

/** What is counted: deliveries by state, tasks by status. */
type Counted = DeliveryState | `task:${TaskStatus}`

/**
 * By how much the number of deliveries and tasks in each state changes in the open transaction; written once, before its
 * commit.
 */
export class StateCounts {
  readonly #add
  #changes = new Map<Counted, number>()

  constructor(db: DatabaseSync) {
    this.#add = db.prepare('UPDATE tally SET n = n + ? WHERE state = ?')
  }

  add(state: Counted, count = 1): void {
    this.#changes.set(state, (this.#changes.get(state) ?? 0) + count)
  }

  move(from: Counted, to: Counted, count = 1): void {
    this.add(from, -count)
    this.add(to, count)
  }

  snapshot = (): ReadonlyMap<Counted, number> => new Map(this.#changes)
  restore(snapshot: ReadonlyMap<Counted, number>): void {
    this.#changes = new Map(snapshot)
  }

  write(): void {
    for (const [state, change] of this.#changes) if (change !== 0) this.#add.run(change, state)
  }

  forget(): void {
    this.#changes.clear()
  }
}
