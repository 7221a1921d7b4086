import type { HandlerDefinition } from '../domain/handler.ts'
import { type Room, shareRooms } from './rooms.ts'

/** What of the pool tells which attempts may start. */
export interface CapacityPool {
  /** Attempts beyond the configured number, in all. */
  readonly extra: number
  /** As in `room`. */
  readonly sharedRoom: number
  room(): Room
  isTroubled(handler: string): boolean
  mayStart(handler: string): boolean
}

/** How many of each handler run or are about to, and how many more may. */
export class Capacity {
  readonly #pool: CapacityPool
  readonly #concurrency: ReadonlyMap<string, number>
  readonly #running: Map<string, number>
  /** Rooms that are kept free for events on their way in. */
  #reserved = 0

  constructor(pool: CapacityPool, handlers: readonly HandlerDefinition[]) {
    this.#pool = pool
    this.#concurrency = new Map(
      handlers.map(({ name, concurrency }) => [name, concurrency ?? Number.POSITIVE_INFINITY]),
    )
    this.#running = new Map(handlers.map(({ name }) => [name, 0]))
  }

  /** Keeps an ordinary room free for one attempt of a handler. False if there is none. */
  reserve(handler: string): boolean {
    const { ordinary } = this.#free()
    const running = this.running(handler)
    if (ordinary === 0 || this.#pool.isTroubled(handler) || running >= (this.#concurrency.get(handler) ?? 0))
      return false
    this.#reserved++
    this.started(handler)
    return true
  }

  release(handler: string): void {
    this.#reserved--
    this.ended(handler)
  }

  started(handler: string): void {
    this.#running.set(handler, this.running(handler) + 1)
  }

  ended(handler: string): void {
    this.#running.set(handler, this.running(handler) - 1)
  }

  running = (handler: string): number => this.#running.get(handler) ?? 0

  /** How many more of each handler may start, in so many rooms in all; handlers of which none may are left out. */
  limits(): { readonly handlers: readonly { name: string; limit: number; running: number }[]; readonly rooms: number } {
    const { troubled } = this.#pool.room()
    const { ordinary, all } = this.#free()
    const untroubled = new Map([...this.#running].filter(([handler]) => !this.#pool.isTroubled(handler)))
    const shares = shareRooms({ ordinaryFree: ordinary, extraFree: all, extra: this.#pool.extra }, untroubled)
    const handlers = [...this.#running].flatMap(([name, running]) => {
      const share = shares.get(name) ?? (this.#pool.mayStart(name) ? troubled : 0)
      const limit = Math.min(share, (this.#concurrency.get(name) ?? 0) - running)
      return limit > 0 ? [{ name, limit, running }] : []
    })
    const isAnyTroubled = handlers.some(({ name }) => !untroubled.has(name))
    return { handlers, rooms: (ordinary > 0 ? ordinary : all) + (isAnyTroubled ? troubled : 0) }
  }

  /** Rooms that are neither taken nor kept; of all, those that any handler may have. */
  #free(): { readonly ordinary: number; readonly all: number } {
    const all = Math.max(0, this.#pool.sharedRoom - this.#reserved)
    return { ordinary: Math.max(0, all - this.#pool.extra), all }
  }
}
