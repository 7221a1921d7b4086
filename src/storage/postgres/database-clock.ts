import type { Clock } from '../../domain/clock.ts'

/**
 * Whose time counts. The database's, for all replicas: what is due, which lease holds, when a task expires. Times that cross
 * the port are this process's, and what is handed over are waits; so replicas whose clocks differ agree. A test gives a
 * clock in place of both.
 */
export interface DatabaseClock {
  /** Null: the database's own. */
  readonly givenMs: () => number | null
  readonly localMs: Clock
}

export const databaseClock = (given: Clock | undefined): DatabaseClock => ({
  givenMs: () => given?.() ?? null,
  localMs: given ?? Date.now,
})
