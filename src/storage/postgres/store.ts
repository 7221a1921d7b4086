import type { DeadLetters } from '../../domain/dead-letters.ts'
import type { DeliveryQueue } from '../../domain/delivery-queue.ts'
import type { DriftStore } from '../../domain/drift-store.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { EventStore, Receipt } from '../../domain/event-store.ts'
import type { EventTail } from '../../domain/event-tail.ts'
import type { RetentionStore } from '../../domain/retention-store.ts'
import type { StatStore } from '../../domain/stat-store.ts'
import type { OpenStore, StoreLog } from '../../domain/store.ts'
import type { TaskEnds } from '../../domain/task-ends.ts'
import type { TaskStore } from '../../domain/task-store.ts'
import { AppendQueue } from '../shared/append-queue.ts'
import { EndedTaskListeners } from '../shared/ended-tasks.ts'
import { createAppend } from './append.ts'
import { createAuditStore } from './audit.ts'
import { createBeside } from './beside.ts'
import type { BodyPartitions } from './body-partitions.ts'
import { callReplayJobs } from './call-replay-jobs.ts'
import { createCauseKeys, createDeadCauses, createNameCauses, createPruneCauses } from './causes.ts'
import { createClaim } from './claim.ts'
import { createClaimTasks } from './claim-tasks.ts'
import { createJudgeClock, type DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { createCounts } from './counts.ts'
import { Damage } from './damage.ts'
import { createDiscard, createDiscardOf, createMatchDead } from './dead-letters.ts'
import { createDrift } from './drift.ts'
import { createCancelTask, watchEndedTasks } from './end-task.ts'
import { createEventFacets } from './event-facets.ts'
import { createFindEvent, createFindEventForm, createReadBody } from './find-event.ts'
import { Health } from './health.ts'
import { Heartbeat } from './heartbeat.ts'
import { afterHeartbeat, whileBeating } from './leasing-operations.ts'
import { startMaintenance } from './maintenance.ts'
import { Operations } from './open-operations.ts'
import { Leases } from './own-leases.ts'
import { createPauseStore } from './pauses.ts'
import { createPayloadIndex, portOf } from './payload-index.ts'
import { createCountDead, createCountOld, createPrune, createPruneTasks } from './prune.ts'
import { createQuestions } from './questions.ts'
import { createRepairTimes } from './repair-times.ts'
import { createReplay } from './replay.ts'
import { createReplicaRegistry } from './replica-registry.ts'
import type { Scanner } from './scanner.ts'
import { createSearchDeliveries } from './search-deliveries.ts'
import { createSearchEvents } from './search-events.ts'
import { createActivity, createFindTask, createSearchTasks } from './search-tasks.ts'
import { createSettle } from './settle.ts'
import { createSize } from './size.ts'
import { createStats } from './stats.ts'
import { createTail } from './tail.ts'
import { createTrackTask } from './track-task.ts'

export interface Parts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly partitions: BodyPartitions
  readonly scanner: Scanner
  readonly onLog: StoreLog
}

/** The parts of which the ports of the store are made. */
interface Core extends Parts {
  readonly operations: Operations
  readonly endedTasks: EndedTaskListeners
  readonly leases: Leases
  readonly heartbeat: Heartbeat
  readonly damage: Damage
  readonly appends: AppendQueue
  readonly health: Health
}

/** Of a schema that is up to date. */
export function createStore(parts: Parts): OpenStore {
  const { connections, clock } = parts
  const core = createCore(parts)
  const { operations, damage, appends, health, heartbeat } = core
  const index = createPayloadIndex(connections, clock, parts.scanner.indexBatch)
  const registry = createReplicaRegistry(connections, clock.givenMs, index)
  const stopMaintenance = startMaintenance({ ...parts, registry, damage })
  const { taskEnds, stopWatching } = taskEndsOf(core)

  async function close(): Promise<void> {
    appends.flush()
    stopMaintenance()
    stopWatching()
    void operations.follow(damage.close())
    await operations.end('the store is closed')
    await parts.scanner.close()
    await heartbeat.leave()
    await health.stop()
    await connections.close()
  }

  let closing: Promise<void> | undefined
  return {
    ...eventStoreOf(core),
    ...operations.ofPort<EventTail>(createTail(connections)),
    ...operations.ofPort<DriftStore>(createDrift(connections)),
    ...deliveryQueueOf(core),
    ...deadLettersOf(core),
    ...taskStoreOf(core),
    ...taskEnds,
    judgeClock: operations.while(createJudgeClock(connections, clock)),
    repairTimes: operations.while(createRepairTimes(connections, clock)),
    ...retentionStoreOf(core),
    ...statStoreOf(core),
    replayJobs: callReplayJobs(core),
    facets: createEventFacets(connections, clock, operations),
    payloadIndex: portOf(index, operations),
    audit: createAuditStore(connections, clock.givenMs, operations),
    pauses: createPauseStore(connections, clock.givenMs, operations),
    replicas: {
      announce: operations.while((replica) => registry.announce(replica)),
      leave: operations.while((uid) => registry.leave(uid)),
      handlers: operations.while(() => registry.handlers()),
      hasOthers: () => registry.hasOthers(),
      roles: operations.while(() => registry.roles()),
      running: operations.while(() => registry.running()),
      workers: () => registry.workers(),
    },
    counts: operations.while(createCounts(connections, clock)),
    size: operations.while(createSize(connections)),
    warnings: damage.warnings,
    faults() {
      const ended = operations.ended()
      if (ended !== undefined) return [ended]
      return [...health.faults(), ...appends.faults()]
    },
    lost: new Promise(() => {}),
    close() {
      closing ??= close()
      return closing
    },
  }
}

function createCore(parts: Parts): Core {
  const { connections, clock, onLog } = parts
  const operations = new Operations()
  const endedTasks = new EndedTaskListeners(onLog)
  const leases = new Leases(clock.localMs)
  const heartbeat = new Heartbeat(connections, leases, clock, onLog)
  const damage = new Damage(connections, onLog)
  const appendBatch = createAppend({ ...parts, leases, heartbeat, damage })
  const appends = new AppendQueue((batch) => operations.follow(appendBatch(batch)), endedTasks.notify, false)
  const health = new Health(connections, clock, onLog, (fault) => {
    if (fault === undefined) return heartbeat.recovered()
    appends.failGathered(unavailable(fault))
    heartbeat.doubt(fault)
  })
  connections.onDamage = (error) => void operations.follow(damage.found(error))
  connections.onUnavailable = () => {
    health.suspect()
    heartbeat.suspect()
  }
  return { ...parts, operations, endedTasks, leases, heartbeat, damage, appends, health }
}

function eventStoreOf({ connections, clock, scanner, operations, appends, health }: Core): EventStore {
  async function append(event: NewEvent): Promise<Receipt> {
    const receipt = await appends.append(event)
    const aheadMs = clock.aheadMs()
    return aheadMs === 0 ? receipt : { ...receipt, receivedAtMs: event.receivedAtMs + aheadMs }
  }

  return {
    append(event) {
      // Refuses without trying to store the event, so that the sender gets its answer at once.
      const fault = operations.ended() ?? health.faults()[0]
      return fault === undefined ? append(event) : Promise.reject(unavailable(fault))
    },
    events: operations.while(createSearchEvents(connections, scanner.scan)),
    event: operations.while(createFindEvent(connections)),
    beside: operations.while(createBeside(connections)),
    eventForm: operations.while(createFindEventForm(connections)),
    body: operations.while(createReadBody(connections)),
  }
}

function deliveryQueueOf(core: Core): DeliveryQueue {
  const { connections, clock, operations, heartbeat } = core
  return {
    claim: operations.while(whileBeating(heartbeat, createClaim(core))),
    settle: operations.while(createSettle(core)),
    replay: operations.while(createReplay(connections, clock)),
    deliveries: operations.while(createSearchDeliveries(connections)),
  }
}

const deadLettersOf = ({ connections, clock, operations }: Core): DeadLetters => ({
  discard: operations.while(createDiscard(connections, clock)),
  discardOf: operations.while(createDiscardOf(connections, clock)),
  matchDead: operations.while(createMatchDead(connections)),
  deadCauses: operations.while(createDeadCauses(connections, clock)),
  nameCauses: operations.while(createNameCauses(connections, createCauseKeys(connections, clock))),
  pruneCauses: operations.while(createPruneCauses(connections)),
})

function taskStoreOf({ connections, clock, operations, leases, heartbeat, endedTasks }: Core): TaskStore {
  const { track, submitted } = createTrackTask(connections, clock, leases)
  const { claimTasks, claimTask, postpone } = createClaimTasks(connections, clock, leases)
  return {
    track: operations.while(afterHeartbeat(heartbeat, endedTasks.notifying(track))),
    submitted: operations.while(endedTasks.notifying(submitted)),
    cancelTask: operations.while(endedTasks.notifying(createCancelTask(connections, clock))),
    claimTasks: operations.while(whileBeating(heartbeat, afterHeartbeat(heartbeat, claimTasks))),
    claimTask: operations.while(afterHeartbeat(heartbeat, claimTask)),
    postpone: operations.while(postpone),
    tasks: operations.while(createSearchTasks(connections)),
    task: operations.while(createFindTask(connections)),
    questions: operations.while(createQuestions(connections)),
    activity: operations.while(createActivity(connections)),
  }
}

function taskEndsOf({ connections, clock, endedTasks }: Core): {
  readonly taskEnds: TaskEnds
  readonly stopWatching: () => void
} {
  const watches = new Set<() => void>()
  const taskEnds: TaskEnds = {
    onTaskEnded: endedTasks.add,
    watchEnds(listener) {
      const stop = watchEndedTasks(connections, clock, listener)
      watches.add(stop)
      return () => {
        watches.delete(stop)
        stop()
      }
    },
  }
  const stopWatching = (): void => {
    for (const stop of watches) stop()
  }
  return { taskEnds, stopWatching }
}

const retentionStoreOf = ({ connections, partitions, operations }: Core): RetentionStore => ({
  prune: operations.while(createPrune(connections, partitions)),
  pruneTasks: operations.while(createPruneTasks(connections)),
  countOld: operations.while(createCountOld(connections)),
  countDead: operations.while(createCountDead(connections)),
})

function statStoreOf({ connections, operations }: Core): StatStore {
  const stats = createStats(connections)
  return {
    recordStats: operations.while(stats.recordStats),
    statRows: operations.while(stats.statRows),
    pruneStats: operations.while(stats.pruneStats),
    beginEpisode: operations.while(stats.beginEpisode),
    endEpisode: operations.while(stats.endEpisode),
    episodes: operations.while(stats.episodes),
  }
}

const unavailable = (message: string): HoldfastError => new HoldfastError('unavailable', message)
