import { HOUR_MS } from '../../domain/clock.ts'
import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { BodyPartitions } from './body-partitions.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { foldTally } from './counts.ts'
import type { Damage } from './damage.ts'

const FOLD_INTERVAL_MS = 10_000
const DAMAGE_INTERVAL_MS = 60_000

interface MaintenanceOptions {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly partitions: BodyPartitions
  readonly registry: { forget(): Promise<void> }
  readonly damage: Damage
  readonly onLog: StoreLog
}

/** Starts the regular work on the database, which every replica does. Returns a function that stops it. */
export function startMaintenance({
  connections,
  clock,
  partitions,
  registry,
  damage,
  onLog,
}: MaintenanceOptions): () => void {
  let stopped = false
  const every = (ms: number, what: string, work: () => Promise<void>): NodeJS.Timeout => {
    let running = false
    const run = async (): Promise<void> => {
      if (running) return
      running = true
      try {
        await work()
      } catch (error) {
        if (!stopped) onLog('warn', `${what}: ${messageOf(error)}`)
      }
      running = false
    }
    return setInterval(() => void run(), ms).unref()
  }
  const timers = [
    every(FOLD_INTERVAL_MS, 'the counts could not be summed up', () => foldTally(connections, clock)),
    every(HOUR_MS, 'the partitions of the coming days could not be made', () => partitions.makeAhead()),
    every(DAMAGE_INTERVAL_MS, 'the known damage could not be checked', () => damage.lookAgain()),
    every(HOUR_MS, 'the rows of replicas that are gone could not be deleted', () => registry.forget()),
  ]
  return () => {
    stopped = true
    for (const timer of timers) clearInterval(timer)
  }
}
