import type { AuditStore } from '../../domain/audit.ts'
import type { Clock, ClockLook, ClockRecord } from '../../domain/clock.ts'
import type {
  DeadCauseFilter,
  DeadCauses,
  DeadFilter,
  DeadMatches,
  DiscardRequest,
  DiscardStep,
  NameCauses,
  NamedCauses,
} from '../../domain/dead-letters.ts'
import type { DeliverySummary, Settlement } from '../../domain/delivery.ts'
import type { Claimed, ClaimRequest, DeliveryFilter, Replay, Replayed } from '../../domain/delivery-queue.ts'
import type { DriftEntry, DriftFilter, ShapeSave, StoredShape } from '../../domain/drift-store.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { EventFacets } from '../../domain/event-facets.ts'
import type { EventDetail, EventForm, EventStore, Receipt } from '../../domain/event-store.ts'
import type { TailPage } from '../../domain/event-tail.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import type { PauseStore } from '../../domain/pause.ts'
import type { PayloadIndex } from '../../domain/payload-index.ts'
import type { ReplayJobs } from '../../domain/replay-jobs.ts'
import type { OldBounds, OldEvents, PruneRequest, PruneStep } from '../../domain/retention-store.ts'
import type { Episode, EpisodeKind, OldStats, StatQuery, StatRow } from '../../domain/stat-store.ts'
import type { OpenStore, StoreLog } from '../../domain/store.ts'
import type { LongestWaits, RepairedTimes } from '../../domain/store-clock.ts'
import type { Counts, StoreSize } from '../../domain/store-health.ts'
import type { EndedTask, LeasedTask, NewTask, Task } from '../../domain/task.ts'
import type { TaskClaim, TaskPostponement, TaskStore, TaskSubmission, Tracked } from '../../domain/task-store.ts'
import { CauseKeys } from '../shared/cause-keys.ts'
import { lastUnnamed, unnamedCause } from '../shared/causes.ts'
import { announceSettled } from '../shared/deliveries.ts'
import { createAudit } from './audit.ts'
import { callBeside } from './beside.ts'
import { callEventFacets, callPayloadIndex, callSearchEvents } from './call-payload-index.ts'
import { callReplayJobs } from './call-replay-jobs.ts'
import { callReadTasks } from './call-tasks.ts'
import { discardInCommits, matchInPages } from './dead-letters.ts'
import { createPauses } from './pauses.ts'
import { pruneInCommits, pruneTasksInCommits } from './prune.ts'
import { repairFound } from './repair-times.ts'
import type { StoreThreads } from './store-threads.ts'
import { storedSettlement, workOf } from './thread-messages.ts'

/** The embedded store, opened by `open.ts`: its ports, which call its two threads. */
export class SqliteStore implements OpenStore {
  readonly replicas = undefined
  readonly replayJobs: ReplayJobs
  /** No other process shares the database. */
  readonly watchEnds = () => () => {}
  readonly #threads: StoreThreads
  readonly #clock: Clock
  readonly #log: StoreLog
  readonly #appends: StoreThreads['appends']
  readonly #writes: StoreThreads['writes']
  readonly #reads: StoreThreads['reads']
  readonly #endedTasks: StoreThreads['endedTasks']
  readonly #causes = new CauseKeys(
    async (causes) => this.#refusing() ?? this.#writes.call('recordCauses', causes, this.#clock()),
  )

  readonly audit: AuditStore
  readonly pauses: PauseStore
  readonly payloadIndex: PayloadIndex
  readonly facets: EventFacets
  readonly events: EventStore['events']
  readonly beside: EventStore['beside']
  readonly tasks: TaskStore['tasks']
  readonly task: TaskStore['task']
  readonly questions: TaskStore['questions']
  readonly activity: TaskStore['activity']

  constructor(threads: StoreThreads) {
    this.payloadIndex = callPayloadIndex(threads)
    this.facets = callEventFacets(threads)
    this.events = callSearchEvents(threads)
    this.beside = callBeside(threads)
    ;({
      tasks: this.tasks,
      task: this.task,
      questions: this.questions,
      activity: this.activity,
    } = callReadTasks(threads))
    this.audit = createAudit(threads)
    this.pauses = createPauses(threads)
    this.#threads = threads
    this.replayJobs = callReplayJobs(threads)
    this.#clock = threads.clock
    this.#log = threads.log
    this.#appends = threads.appends
    this.#writes = threads.writes
    this.#reads = threads.reads
    this.#endedTasks = threads.endedTasks
  }

  get lost(): Promise<Error> {
    return this.#threads.lost
  }
  faults = (): readonly string[] => this.#threads.faults()
  warnings = (): readonly string[] => this.#threads.warnings()
  close = (): Promise<void> => this.#threads.close()

  #refusing(): Promise<never> | undefined {
    return this.#threads.refusing()
  }

  append(event: NewEvent): Promise<Receipt> {
    return this.#refusing() ?? this.#appends.append(event)
  }

  async claim(request: ClaimRequest): Promise<Claimed> {
    const { work, nextDueAtMs } = await (this.#refusing() ?? this.#writes.call('claim', request, this.#clock()))
    return { work: work.map(workOf), nextDueAtMs }
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    const keys = this.#causes.known(settlements) ?? (await this.#causes.record(settlements))
    const stored = settlements.map((each) => storedSettlement(each, keys.get(each)))
    const call = this.#refusing() ?? this.#writes.call('settle', stored, this.#clock())
    return announceSettled(await call, this.#endedTasks, this.#log)
  }

  async replay(replay: Replay): Promise<Replayed> {
    return this.#refusing() ?? this.#writes.call('replay', replay, this.#clock())
  }

  async deadCauses(filter: DeadCauseFilter): Promise<DeadCauses> {
    return this.#refusing() ?? this.#reads.call('deadCauses', filter, this.#clock())
  }

  async nameCauses({ causeOf, limit, from }: NameCauses): Promise<NamedCauses> {
    const rows = await (this.#refusing() ?? this.#reads.call('findUnnamed', limit, from))
    if (rows.length === 0) return { named: 0, next: undefined }
    const keys = await this.#causes.keysOf(rows.map((row) => unnamedCause(row, causeOf)))
    const named = await this.#writes.call(
      'nameCauses',
      rows.map(({ key }) => key),
      keys,
    )
    return { named, next: lastUnnamed(rows, limit) }
  }

  async pruneCauses(seenBeforeMs: number): Promise<number> {
    return this.#refusing() ?? this.#writes.call('pruneCauses', seenBeforeMs)
  }

  async discard(request: DiscardRequest): Promise<DiscardStep> {
    const found = this.#refusing() ?? this.#reads.call('findDead', request)
    return discardInCommits(found, (keys) => this.#writes.call('discard', keys, this.#clock()))
  }

  async discardOf(eventUid: string, handler?: string): Promise<readonly string[]> {
    return this.#refusing() ?? this.#writes.call('discardOf', eventUid, handler, this.#clock())
  }

  async matchDead(filter: DeadFilter, sampleSize: number, most?: number): Promise<DeadMatches> {
    return this.#refusing() ?? matchInPages(this.#reads, filter, sampleSize, most)
  }

  async judgeClock(look: ClockLook): Promise<ClockRecord> {
    return this.#refusing() ?? this.#writes.call('judgeClock', look, this.#clock())
  }

  async repairTimes(waits: LongestWaits): Promise<RepairedTimes> {
    const found = this.#refusing() ?? this.#reads.call('findAhead', waits, this.#clock())
    return repairFound(found, (each) => this.#writes.call('repairTimes', each, waits, this.#clock()))
  }

  async prune(request: PruneRequest): Promise<PruneStep> {
    const found = this.#refusing() ?? this.#reads.call('findOld', request)
    return pruneInCommits(
      found,
      (keys) => this.#writes.call('forget', keys, request.deadReceivedBeforeMs),
      (keys) => this.#writes.call('redate', keys, request.receivedBeforeMs),
    )
  }

  async countOld(bounds: OldBounds): Promise<OldEvents> {
    return this.#refusing() ?? this.#reads.call('countOld', bounds)
  }

  async countDead(receivedBeforeMs: number): Promise<number> {
    return this.#refusing() ?? this.#reads.call('countDead', receivedBeforeMs)
  }

  async event(uid: string): Promise<EventDetail | undefined> {
    return this.#refusing() ?? this.#reads.call('event', uid)
  }

  async eventForm(uid: string): Promise<EventForm | undefined> {
    return this.#refusing() ?? this.#reads.call('eventForm', uid)
  }

  async body(uid: string): Promise<Uint8Array> {
    return this.#refusing() ?? this.#reads.call('body', uid)
  }

  async readShape(source: string, type: string): Promise<StoredShape | undefined> {
    return this.#refusing() ?? this.#reads.call('readShape', source, type)
  }

  async saveShape(save: ShapeSave): Promise<boolean> {
    return this.#refusing() ?? this.#writes.call('saveShape', save)
  }

  async driftEntries(filter: DriftFilter, page: PageRequest): Promise<Page<DriftEntry>> {
    return this.#refusing() ?? this.#reads.call('driftEntries', filter, page)
  }

  async pruneDrift(entriesBeforeMs: number, shapesBeforeMs: number): Promise<number> {
    return this.#refusing() ?? this.#writes.call('pruneDrift', entriesBeforeMs, shapesBeforeMs)
  }

  async tailEnd(): Promise<number> {
    return this.#refusing() ?? this.#reads.call('tailEnd')
  }

  async tailSince(sinceMs: number): Promise<number> {
    return this.#refusing() ?? this.#reads.call('tailSince', sinceMs)
  }

  async tail(after: number, limit: number): Promise<TailPage> {
    return this.#refusing() ?? this.#reads.call('tail', after, limit)
  }

  async deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>> {
    return this.#refusing() ?? this.#reads.call('deliveries', filter, page)
  }

  async counts(served?: readonly string[]): Promise<Counts> {
    return this.#refusing() ?? this.#reads.call('counts', this.#clock(), served)
  }

  async size(): Promise<StoreSize> {
    return this.#refusing() ?? this.#reads.call('size')
  }

  async track(task: NewTask): Promise<Tracked> {
    return this.#endedTasks.notifyOf(await (this.#refusing() ?? this.#writes.call('track', task, this.#clock())))
  }

  async submitted(uid: string, lease: string, submission: TaskSubmission): Promise<Task | undefined> {
    const ending = this.#refusing() ?? this.#writes.call('submitted', uid, lease, submission, this.#clock())
    return this.#endedTasks.notifyOf(await ending)
  }

  async claimTasks(claim: TaskClaim): Promise<readonly LeasedTask[]> {
    return this.#refusing() ?? this.#writes.call('claimTasks', claim, this.#clock())
  }

  async claimTask(uid: string, leaseMs: number): Promise<LeasedTask | undefined> {
    return this.#refusing() ?? this.#writes.call('claimTask', uid, leaseMs, this.#clock())
  }

  async postpone(postponements: readonly TaskPostponement[]): Promise<readonly boolean[]> {
    return this.#refusing() ?? this.#writes.call('postpone', postponements, this.#clock())
  }

  async cancelTask(uid: string): Promise<Task | undefined> {
    return this.#endedTasks.notifyOf(await (this.#refusing() ?? this.#writes.call('cancelTask', uid, this.#clock())))
  }

  async pruneTasks(endedBeforeMs: number, limit: number): Promise<number> {
    return pruneTasksInCommits(
      limit,
      async (left) => this.#refusing() ?? this.#writes.call('pruneTasks', endedBeforeMs, left),
    )
  }

  async recordStats(rows: readonly StatRow[]): Promise<void> {
    return this.#refusing() ?? this.#writes.call('recordStats', rows)
  }

  async statRows(query: StatQuery): Promise<readonly StatRow[]> {
    return this.#refusing() ?? this.#reads.call('statRows', query)
  }

  async pruneStats(old: OldStats): Promise<number> {
    return this.#refusing() ?? this.#writes.call('pruneStats', old)
  }

  async beginEpisode(episode: Episode): Promise<boolean> {
    return this.#refusing() ?? this.#writes.call('beginEpisode', episode)
  }

  async endEpisode(kind: EpisodeKind, source: string): Promise<boolean> {
    return this.#refusing() ?? this.#writes.call('endEpisode', kind, source)
  }

  async episodes(): Promise<readonly Episode[]> {
    return this.#refusing() ?? this.#reads.call('episodes')
  }

  onTaskEnded(listener: (ended: EndedTask) => void): void {
    this.#endedTasks.add(listener)
  }
}
