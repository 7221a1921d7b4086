import type { DatabaseSync } from 'node:sqlite'
import { DELIVERY_STATES, type DeliveryState } from '../../domain/delivery.ts'

/** How many deliveries changed state in the open transaction; written once, before its commit. */
export class Tally {
  readonly #add
  #changes = new Map<DeliveryState, number>()

  constructor(db: DatabaseSync) {
    this.#add = db.prepare('UPDATE tally SET n = n + ? WHERE state = ?')
  }

  add(state: DeliveryState, count = 1): void {
    this.#changes.set(state, (this.#changes.get(state) ?? 0) + count)
  }

  move(from: DeliveryState, to: DeliveryState, count = 1): void {
    this.add(from, -count)
    this.add(to, count)
  }

  snapshot = (): ReadonlyMap<DeliveryState, number> => new Map(this.#changes)
  restore(snapshot: ReadonlyMap<DeliveryState, number>): void {
    this.#changes = new Map(snapshot)
  }

  write(): void {
    for (const state of DELIVERY_STATES) {
      const change = this.#changes.get(state)
      if (change !== undefined && change !== 0) this.#add.run(change, state)
    }
  }

  forget(): void {
    this.#changes.clear()
  }
}
