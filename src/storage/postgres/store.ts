import type { Clock } from '../../domain/clock.ts'
import { ConfigurationError, HoldfastError, isHoldfastError, messageOf } from '../../domain/errors.ts'
import type { OpenStore, StoreLog } from '../../domain/store.ts'
import type { EndedTask } from '../../domain/task.ts'
import { AppendQueue } from '../common/append-queue.ts'
import type { AppendBatch } from '../common/event-row.ts'
import { createAppend } from './append.ts'
import { createClaim, createSettle } from './claim.ts'
import { createClaimTasks } from './claim-tasks.ts'
import { Connections } from './connections.ts'
import { createCounts } from './counts.ts'
import { databaseClock } from './database-clock.ts'
import { Days } from './days.ts'
import { watchEnds } from './ended-watch.ts'
import { createFindEvent, createReadBody } from './find-event.ts'
import { createFleet } from './fleet.ts'
import { Health } from './health.ts'
import { Horizon } from './horizon.ts'
import { startMaintenance } from './maintenance.ts'
import { migrate } from './migrate.ts'
import { createPrune } from './prune.ts'
import { createReplay } from './replay.ts'
import { createSearchDeliveries } from './search-deliveries.ts'
import { createSearchEvents } from './search-events.ts'
import { createActivity, createFindTask, createSearchTasks } from './search-tasks.ts'
import { createTrackTask, type Ending } from './track-task.ts'
import { targetOf } from './url.ts'

export interface PostgresStoreOptions {
  /** For tests: in place of the database's clock, and of this process's. */
  readonly clock: Clock | undefined
  readonly onLog: StoreLog
  readonly patienceMs: number
}

/** Opens a store in PostgreSQL, creating its schema where there is none. Rejects with `ConfigurationError`. */
export async function openPostgresStore(databaseUrl: string, options: PostgresStoreOptions): Promise<OpenStore> {
  const target = targetOf(databaseUrl)
  await migrate(target, options.onLog, options.patienceMs)
  const suspects: { suspect(): void }[] = []
  const connections = new Connections(target, () => {
    for (const each of suspects) each.suspect()
  })
  const clock = databaseClock(options.clock)
  const days = new Days(connections, clock)
  try {
    const [unfinished] = await connections.run<{ origin: string }>('work', 'SELECT origin FROM move')
    if (unfinished !== undefined) {
      throw new ConfigurationError([
        'DATABASE_URL: events are being moved into this database, and the move is not finished: run holdfast migrate again.',
      ])
    }
    await days.makeAhead()
  } catch (error) {
    await connections.close()
    throw error instanceof ConfigurationError ? error : new ConfigurationError([`DATABASE_URL: ${messageOf(error)}.`])
  }
  const health = new Health(connections, options.onLog)
  suspects.push(health)
  return createStore({ connections, clock, days, health, onLog: options.onLog })
}

interface Parts {
  readonly connections: Connections
  readonly clock: ReturnType<typeof databaseClock>
  readonly days: Days
  readonly health: Health
  readonly onLog: StoreLog
}

function createStore({ connections, clock, days, health, onLog }: Parts): OpenStore {
  const listeners: ((ended: EndedTask) => void)[] = []
  const underWay = new Set<Promise<unknown>>()
  const watches = new Set<() => void>()
  let ended: string | undefined
  let closing: Promise<void> | undefined

  const unavailable = (message: string): HoldfastError => new HoldfastError('unavailable', message)
  const faults = (): readonly string[] => {
    if (ended !== undefined) return [ended]
    return appends.isFull() ? [...health.faults(), 'too many events are waiting for the store'] : health.faults()
  }

  function tell(task: EndedTask): void {
    for (const listener of listeners) {
      try {
        listener(task)
      } catch (error) {
        onLog('error', `what listens for the ends of tasks failed: ${messageOf(error)}`)
      }
    }
  }

  /** Refused once the store is closed; while it closes, it waits for what has begun. */
  const open =
    <Args extends readonly unknown[], Result>(operation: (...args: Args) => Promise<Result>) =>
    (...args: Args): Promise<Result> => {
      if (ended !== undefined) return Promise.reject(unavailable(ended))
      return following(operation(...args))
    }

  function following<Result>(running: Promise<Result>): Promise<Result> {
    const done: Promise<void> = running.then(
      () => void underWay.delete(done),
      () => void underWay.delete(done),
    )
    underWay.add(done)
    return running
  }

  const telling =
    <Args extends readonly unknown[], Value>(operation: (...args: Args) => Promise<Ending<Value>>) =>
    async (...args: Args): Promise<Value> => {
      const { value, ended: task } = await operation(...args)
      if (task !== undefined) tell(task)
      return value
    }

  const horizon = new Horizon()
  const append = createAppend(connections, clock, days)
  const appends = new AppendQueue((batch: AppendBatch) => {
    void following(
      append(batch).then(
        (value) => appends.answer({ id: batch.id, value }),
        (error: unknown) =>
          appends.answer({
            id: batch.id,
            failed: { error: isHoldfastError(error) ? error.code : 'unavailable', message: messageOf(error) },
          }),
      ),
    )
  }, tell)

  const replayEvent = createReplay(connections, clock)
  const fleet = createFleet(connections, clock.givenMs)
  const tasks = createTrackTask(connections, clock)
  const taskClaims = createClaimTasks(connections, clock)
  const stopMaintenance = startMaintenance({ connections, days, fleet, onLog })

  async function close(): Promise<void> {
    appends.flush()
    ended = 'the store is closed'
    stopMaintenance()
    for (const stop of watches) stop()
    while (underWay.size > 0) await Promise.all(underWay)
    await health.stop()
    await connections.close()
    appends.failAll(unavailable(ended))
  }

  return {
    append(event) {
      if (ended !== undefined) return Promise.reject(unavailable(ended))
      // Not tried in vain: nobody waits for an answer that is known.
      const [fault] = health.faults()
      horizon.made(event.handlers)
      return fault === undefined ? appends.append(event) : Promise.reject(unavailable(fault))
    },
    claim: open(createClaim(connections, clock, horizon)),
    settle: open(createSettle(connections, clock)),
    replay: open((replay) => {
      horizon.made(replay.handlers)
      return replayEvent(replay)
    }),
    prune: open(createPrune(connections, days)),
    events: open(createSearchEvents(connections)),
    event: open(createFindEvent(connections)),
    body: open(createReadBody(connections)),
    deliveries: open(createSearchDeliveries(connections)),
    counts: open(createCounts(connections, clock)),
    track: open(telling(tasks.track)),
    submitted: open(telling(tasks.submitted)),
    cancelTask: open(telling(tasks.cancelTask)),
    claimTasks: open(taskClaims.claimTasks),
    claimTask: open(taskClaims.claimTask),
    postpone: open(taskClaims.postpone),
    pruneTasks: open(taskClaims.pruneTasks),
    tasks: open(createSearchTasks(connections)),
    task: open(createFindTask(connections)),
    activity: open(createActivity(connections)),
    onTaskEnded: (listener) => void listeners.push(listener),
    watchEnds(listener) {
      const stop = watchEnds(connections, clock, listener)
      watches.add(stop)
      return () => {
        watches.delete(stop)
        stop()
      }
    },
    fleet: {
      announce: open(fleet.announce),
      leave: open(fleet.leave),
      handlers: open(fleet.handlers),
    },
    faults,
    lost: new Promise(() => {}),
    close() {
      closing ??= close()
      return closing
    },
  }
}
