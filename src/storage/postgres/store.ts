import type { Clock } from '../../domain/clock.ts'
import { ConfigurationError, HoldfastError } from '../../domain/errors.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/event-store.ts'
import type { OpenStore, StoreLog } from '../../domain/store.ts'
import { postgresTarget } from '../database-url.ts'
import { AppendQueue } from '../records/append-queue.ts'
import { EndedTaskListeners } from '../records/ended-tasks.ts'
import { createAppend } from './append.ts'
import { BodyPartitions } from './body-partitions.ts'
import { createBringBack } from './bring-back.ts'
import { createClaim } from './claim.ts'
import { createClaimTasks } from './claim-tasks.ts'
import { createJudgeClock, DatabaseClock } from './clock.ts'
import { connectWithRetry } from './connect-with-retry.ts'
import { Connections } from './connections.ts'
import { createCounts } from './counts.ts'
import { Damage } from './damage.ts'
import { createCancelTask, watchEndedTasks } from './end-task.ts'
import { createFindEvent, createReadBody } from './find-event.ts'
import { Health } from './health.ts'
import { Heartbeat } from './heartbeat.ts'
import { Leases } from './leases.ts'
import { startMaintenance } from './maintenance.ts'
import { migrate } from './migrate.ts'
import { createCountDead, createCountOld, createPrune } from './prune.ts'
import { createReplay } from './replay.ts'
import { createFleet } from './replica-registry.ts'
import { Running } from './running.ts'
import { createSearchDeliveries } from './search-deliveries.ts'
import { createSearchEvents } from './search-events.ts'
import { createActivity, createFindTask, createSearchTasks } from './search-tasks.ts'
import { createSettle } from './settle.ts'
import { createTrackTask } from './track-task.ts'

export interface PostgresStoreOptions {
  /** For tests: in place of the database's clock, and of this process's. */
  readonly clock: Clock | undefined
  /** For tests: this process's clock, where it is another than the database's. */
  readonly localClock: Clock | undefined
  readonly onLog: StoreLog
  /** For so long it tries to connect to a server that is starting or failing over. */
  readonly connectRetryMs: number
}

/** Opens a store in PostgreSQL, creating its schema where there is none. Rejects with `ConfigurationError`. */
export async function openPostgresStore(databaseUrl: string, options: PostgresStoreOptions): Promise<OpenStore> {
  const { connectRetryMs, onLog } = options
  return connectWithRetry(connectRetryMs, onLog, () => openOnce(databaseUrl, options))
}

async function openOnce(databaseUrl: string, options: PostgresStoreOptions): Promise<OpenStore> {
  const target = postgresTarget(databaseUrl)
  await migrate(target, options.onLog)
  const connections = new Connections(target)
  const clock = new DatabaseClock(options.clock, options.localClock)
  const partitions = new BodyPartitions(connections, clock)
  try {
    await refuseHalfMoved(connections)
    await partitions.makeAhead()
  } catch (error) {
    await connections.close()
    throw error
  }
  return createStore({ connections, clock, partitions, onLog: options.onLog })
}

async function refuseHalfMoved(connections: Connections): Promise<void> {
  const unfinished = await connections.run('work', 'SELECT FROM move')
  if (unfinished.length === 0) return
  throw new ConfigurationError([
    'DATABASE_URL: events are being moved into this database, and the move is not finished: run holdfast migrate again.',
  ])
}

interface Parts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly partitions: BodyPartitions
  readonly onLog: StoreLog
}

// oxlint-disable-next-line max-lines-per-function -- to be cut along its steps
function createStore({ connections, clock, partitions, onLog }: Parts): OpenStore {
  const running = new Running()
  const endedTasks = new EndedTaskListeners(onLog)
  const leases = new Leases(clock.localMs)
  const heartbeat = new Heartbeat(connections, leases, clock, onLog)
  const damage = new Damage(connections, onLog)
  const appendBatch = createAppend({ connections, clock, partitions, leases, heartbeat, damage })
  const appends = new AppendQueue((batch) => running.follow(appendBatch(batch)), endedTasks.notify)
  const health = new Health(connections, clock, onLog, (fault) => {
    if (fault === undefined) return heartbeat.recovered()
    appends.failGathered(unavailable(fault))
    heartbeat.doubt(fault)
  })
  connections.onDamage = (error) => void running.follow(damage.found(error))
  connections.onUnavailable = () => {
    health.suspect()
    heartbeat.suspect()
  }
  const tasks = createTrackTask(connections, clock, leases)
  const taskClaims = createClaimTasks(connections, clock, leases)
  const fleet = createFleet(connections, clock.givenMs)
  const watches = new Set<() => void>()
  const stopMaintenance = startMaintenance({ connections, clock, partitions, fleet, damage, onLog })

  async function close(): Promise<void> {
    appends.flush()
    stopMaintenance()
    for (const stop of watches) stop()
    void running.follow(damage.close())
    await running.end('the store is closed')
    await heartbeat.leave()
    await health.stop()
    await connections.close()
  }

  /** Refuses claims while the heartbeat fails. A missing standby keeps events from being stored, but not from being leased. */
  const whileBeating =
    <Request, Leased>(claim: (request: Request) => Promise<Leased>) =>
    (request: Request): Promise<Leased> => {
      void heartbeat.begin()
      const fault = heartbeat.fault()
      return fault === undefined ? claim(request) : Promise.reject(unavailable(fault))
    }

  /**
   * Writes the first heartbeat before the first lease: without one, no other store would reclaim the lease before it expires.
   * A claim of deliveries does so itself.
   */
  const afterHeartbeat =
    <Args extends readonly unknown[], Leased>(lease: (...args: Args) => Promise<Leased>) =>
    async (...args: Args): Promise<Leased> => {
      await heartbeat.begin()
      return lease(...args)
    }

  async function append(event: NewEvent): Promise<Receipt> {
    const receipt = await appends.append(event)
    const aheadMs = clock.aheadMs()
    return aheadMs === 0 ? receipt : { ...receipt, receivedAtMs: event.receivedAtMs + aheadMs }
  }

  let closing: Promise<void> | undefined
  return {
    append(event) {
      // Without trying: the sender gets the known answer at once.
      const fault = running.ended() ?? health.faults()[0]
      if (fault !== undefined) return Promise.reject(unavailable(fault))
      return append(event)
    },
    claim: running.while(whileBeating(createClaim({ connections, clock, leases, heartbeat, damage, onLog }))),
    settle: running.while(createSettle({ connections, clock, leases, damage, endedTasks, onLog })),
    replay: running.while(createReplay(connections, clock)),
    judgeClock: running.while(createJudgeClock(connections, clock)),
    bringBack: running.while(createBringBack(connections, clock)),
    prune: running.while(createPrune(connections, partitions)),
    countOld: running.while(createCountOld(connections)),
    countDead: running.while(createCountDead(connections)),
    events: running.while(createSearchEvents(connections)),
    event: running.while(createFindEvent(connections)),
    body: running.while(createReadBody(connections)),
    deliveries: running.while(createSearchDeliveries(connections)),
    counts: running.while(createCounts(connections, clock)),
    track: running.while(afterHeartbeat(endedTasks.notifying(tasks.track))),
    submitted: running.while(endedTasks.notifying(tasks.submitted)),
    cancelTask: running.while(endedTasks.notifying(createCancelTask(connections, clock))),
    claimTasks: running.while(whileBeating(afterHeartbeat(taskClaims.claimTasks))),
    claimTask: running.while(afterHeartbeat(taskClaims.claimTask)),
    postpone: running.while(taskClaims.postpone),
    pruneTasks: running.while(taskClaims.pruneTasks),
    tasks: running.while(createSearchTasks(connections)),
    task: running.while(createFindTask(connections)),
    activity: running.while(createActivity(connections)),
    onTaskEnded: endedTasks.add,
    watchEnds(listener) {
      const stop = watchEndedTasks(connections, clock, listener)
      watches.add(stop)
      return () => {
        watches.delete(stop)
        stop()
      }
    },
    replicas: {
      announce: running.while((replica) => fleet.announce(replica)),
      leave: running.while((uid) => fleet.leave(uid)),
      handlers: running.while(() => fleet.handlers()),
      hasOthers: () => fleet.hasOthers(),
    },
    warnings: damage.warnings,
    faults() {
      const ended = running.ended()
      if (ended !== undefined) return [ended]
      return appends.isFull() ? [...health.faults(), 'too many events are waiting for the store'] : health.faults()
    },
    lost: new Promise(() => {}),
    close() {
      closing ??= close()
      return closing
    },
  }
}

const unavailable = (message: string): HoldfastError => new HoldfastError('unavailable', message)
