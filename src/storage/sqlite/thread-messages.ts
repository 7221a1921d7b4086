import type { AuditEntry, AuditFilter, RecordedAuditEntry } from '../../domain/audit.ts'
import type { AttemptCause } from '../../domain/cause.ts'
import type { ClockLook, ClockRecord } from '../../domain/clock.ts'
import type {
  DeadCauseFilter,
  DeadCauses,
  DeadFilter,
  DeadPosition,
  DiscardRequest,
} from '../../domain/dead-letters.ts'
import type { AttemptOutcome, DeliverySummary, Settlement, Work } from '../../domain/delivery.ts'
import type { ClaimRequest, DeliveryFilter, Replay, Replayed } from '../../domain/delivery-queue.ts'
import type { DriftEntry, DriftFilter, ShapeSave, StoredShape } from '../../domain/drift-store.ts'
import type { EventSummary, Headers } from '../../domain/event.ts'
import type { OutcomeCounts, Retrying, Waiting } from '../../domain/event-facets.ts'
import type { EventFilter } from '../../domain/event-filter.ts'
import type { EventDetail, EventForm } from '../../domain/event-store.ts'
import type { TailPage } from '../../domain/event-tail.ts'
import type { Page, PageRequest, SearchPage } from '../../domain/page.ts'
import type { NewPause, Pause, PausedKind } from '../../domain/pause.ts'
import type { IndexedPath, PayloadPath } from '../../domain/payload-index.ts'
import type {
  CreatedReplay,
  KeyRange,
  LeasedReplay,
  MatchedEvents,
  NewReplayJob,
  Probe,
  ReplayBatch,
  ReplayDetail,
  ReplayFilter,
  ReplayJob,
  ReplayLease,
} from '../../domain/replay-jobs.ts'
import type { OldBounds, OldEvents, PruneRequest } from '../../domain/retention-store.ts'
import type { Episode, EpisodeKind, OldStats, StatQuery, StatRow } from '../../domain/stat-store.ts'
import type { LongestWaits, RepairedTimes } from '../../domain/store-clock.ts'
import type { Counts, StoreSize } from '../../domain/store-health.ts'
import type { LeasedTask, NewTask, Task } from '../../domain/task.ts'
import type { Question } from '../../domain/task-question.ts'
import type {
  SourceActivity,
  TaskClaim,
  TaskFilter,
  TaskPostponement,
  TaskSubmission,
  Tracked,
} from '../../domain/task-store.ts'
import type { UnnamedRow } from '../shared/causes.ts'
import type { FoundDead } from '../shared/dead-letters.ts'
import { type Settled, storedDetail } from '../shared/deliveries.ts'
import type { WithEndedTask } from '../shared/ended-tasks.ts'
import type { PrunePlan } from '../shared/prune.ts'
import type { FoundBeside } from './beside.ts'
import type { ClockJump } from './clock.ts'
import type { DeadPage, MatchedPage } from './dead-letters.ts'
import type { Reply } from './errors.ts'
import type { IndexBatch } from './payload-index.ts'
import type { Forgotten } from './prune.ts'
import type { FoundAhead } from './repair-times.ts'
import type { WireBatch } from './thread-event.ts'

/** The messages between the main thread and the two threads of the store. */

/** A claimed delivery with its headers still as JSON. */
export type StoredWork = Omit<Work, 'event' | 'body'> & {
  /** Can be transferred, because nothing but bodies of the same claim uses its buffer. */
  body: Uint8Array<ArrayBuffer>
  readonly event: Omit<Work['event'], 'headers'> & { readonly headers: string }
}
export interface StoredClaim {
  readonly work: readonly StoredWork[]
  readonly nextDueAtMs: number | undefined
}

/** A settlement with its detail, judgement, cause and answer as JSON (`storedDetail`); of a death, with the key of its cause. */
export type StoredSettlement = Omit<Settlement, 'detail' | 'judgement' | 'cause' | 'answer'> & {
  readonly detail: string | null
  readonly causeKey?: number
}

/** The calls to the writer thread. Times are by the clock of the main thread. */
export interface WriterOperations {
  saveShape(save: ShapeSave): boolean
  pruneDrift(entriesBeforeMs: number, shapesBeforeMs: number): number
  claim(request: ClaimRequest, nowMs: number): StoredClaim
  settle(settlements: readonly StoredSettlement[], nowMs: number): Settled
  replay(replay: Replay, nowMs: number): Replayed
  /** Gives dead deliveries that have no cause their causes. Returns how many got one. */
  nameCauses(keys: readonly number[], causes: readonly number[]): number
  pruneCauses(seenBeforeMs: number): number
  /** The keys of causes, which are recorded if they are not known yet. */
  recordCauses(causes: readonly AttemptCause[], nowMs: number): readonly number[]
  discard(keys: readonly number[], nowMs: number): number
  discardOf(eventUid: string, handler: string | undefined, nowMs: number): readonly string[]
  judgeClock(look: ClockLook, nowMs: number): ClockRecord
  shiftLeases(jump: ClockJump): void
  repairTimes(found: FoundAhead, waits: LongestWaits, nowMs: number): RepairedTimes
  /** The uid of the event that has the id. */
  holderOf(source: string, id: string): string | undefined
  redate(keys: readonly number[], receivedBeforeMs: number): number
  forget(keys: readonly number[], deadReceivedBeforeMs: number): Forgotten
  keepPaths(paths: readonly PayloadPath[]): void
  addIndexed(batch: IndexBatch): void
  track(task: NewTask, nowMs: number): WithEndedTask<Tracked>
  submitted(uid: string, lease: string, submission: TaskSubmission, nowMs: number): WithEndedTask<Task | undefined>
  claimTasks(claim: TaskClaim, nowMs: number): readonly LeasedTask[]
  claimTask(uid: string, leaseMs: number, nowMs: number): LeasedTask | undefined
  postpone(postponements: readonly TaskPostponement[], nowMs: number): readonly boolean[]
  cancelTask(uid: string, nowMs: number): WithEndedTask<Task | undefined>
  pruneTasks(endedBeforeMs: number, limit: number): number
  recordStats(rows: readonly StatRow[]): void
  pruneStats(old: OldStats): number
  beginEpisode(episode: Episode): boolean
  endEpisode(kind: EpisodeKind, source: string): boolean
  createReplayJob(job: NewReplayJob, nowMs: number): CreatedReplay
  cancelReplayJob(id: string, nowMs: number): ReplayJob | undefined
  leaseReplayJob(lease: string, leaseMs: number, nowMs: number): LeasedReplay | undefined
  runReplays(batch: ReplayBatch, nowMs: number): readonly Replayed[] | undefined
  endReplayJob(job: ReplayLease, state: 'done' | 'stopped', probe: Probe | undefined, nowMs: number): boolean
  pruneReplayJobs(endedBeforeMs: number, limit: number): number
  pause(pause: NewPause, nowMs: number): Pause
  resume(kind: PausedKind, name: string): Pause | undefined
  releaseHeld(limit: number, nowMs: number): number
  recordAudit(entry: AuditEntry, nowMs: number): void
  pruneAudit(beforeMs: number, limit: number): number
}

/** Calls whose commit a power cut may undo: a delivery then runs once more, and the numbers of the last seconds are lost. */
export const UNSYNCED: ReadonlySet<keyof WriterOperations> = new Set([
  'claim',
  'settle',
  'holderOf',
  'recordCauses',
  'nameCauses',
  'shiftLeases',
  'addIndexed',
  'leaseReplayJob',
  'recordStats',
  'saveShape',
  'pruneDrift',
  'pruneStats',
  'beginEpisode',
  'endEpisode',
])

export interface ReaderOperations {
  readShape(source: string, type: string): StoredShape | undefined
  driftEntries(filter: DriftFilter, page: PageRequest): Page<DriftEntry>
  events(filter: EventFilter, page: PageRequest): SearchPage<EventSummary>
  /** As `events`; undefined if bodies of many events have to be read. */
  indexedEvents(filter: EventFilter, page: PageRequest): SearchPage<EventSummary> | undefined
  indexedPaths(): readonly IndexedPath[]
  deliveriesOf(uids: readonly string[]): readonly DeliverySummary[]
  countByOutcome(filter: EventFilter): OutcomeCounts
  namesWith(field: 'source' | 'type', prefix: string): readonly string[]
  waiting(handlers: readonly string[], nowMs: number): readonly Waiting[]
  retrying(): readonly Retrying[]
  indexBatch(): IndexBatch | undefined
  event(uid: string): EventDetail | undefined
  beside(uid: string, holder: string | undefined): FoundBeside
  eventForm(uid: string): EventForm | undefined
  body(uid: string): Uint8Array<ArrayBuffer>
  tailEnd(): number
  tailSince(sinceMs: number): number
  tail(after: number, limit: number): TailPage
  deliveries(filter: DeliveryFilter, page: PageRequest): Page<DeliverySummary>
  findUnnamed(limit: number, from: DeadPosition | undefined): readonly UnnamedRow[]
  deadCauses(filter: DeadCauseFilter, nowMs: number): DeadCauses
  findDead(request: DiscardRequest): FoundDead
  matchDeadCauses(filter: DeadFilter): readonly number[] | undefined
  matchDeadPage(page: DeadPage): MatchedPage
  counts(nowMs: number, served: readonly string[] | undefined): Counts
  size(): StoreSize
  tasks(filter: TaskFilter, page: PageRequest): Page<Task>
  task(source: string, id: string): Task | undefined
  questions(uid: string): readonly Question[]
  activity(source: string, sinceMs: number): SourceActivity
  findAhead(waits: LongestWaits, nowMs: number): FoundAhead
  findOld(request: PruneRequest): PrunePlan
  countOld(bounds: OldBounds): OldEvents
  countDead(receivedBeforeMs: number): number
  statRows(query: StatQuery): readonly StatRow[]
  episodes(): readonly Episode[]
  replayJobs(page: PageRequest): Page<ReplayJob>
  replayJob(id: string): ReplayDetail | undefined
  replayRange(filter: ReplayFilter): KeyRange
  replayMatches(filter: ReplayFilter, range: KeyRange, limit: number): MatchedEvents
  pauses(): readonly Pause[]
  audit(filter: AuditFilter, page: PageRequest): Page<RecordedAuditEntry>
}

export type Call<Operations> = {
  [Name in keyof Operations]: Operations[Name] extends (...args: infer Args) => unknown
    ? { readonly id: number; readonly name: Name; readonly args: Args }
    : never
}[keyof Operations]

/** A batch of events. The leases that they offer start at `nowMs`. */
export interface SentBatch {
  readonly batch: WireBatch
  readonly nowMs: number
}

/** Messages arrive in lists, in order. */
export type ToWriter =
  | ({ readonly kind: 'append' } & SentBatch)
  | { readonly kind: 'call'; readonly call: Call<WriterOperations> }
  /** The reader thread has met a damaged page. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'close' }

export type FromWriter =
  | { readonly kind: 'ready' }
  /** The database cannot be opened; an operator has to act. */
  | { readonly kind: 'refused'; readonly fault: string }
  | { readonly kind: 'replies'; readonly replies: readonly Reply[] }
  | { readonly kind: 'faults'; readonly faults: readonly string[] }
  /** `news`: what is new, for the log. */
  | { readonly kind: 'warnings'; readonly warnings: readonly string[]; readonly news: string | undefined }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn'; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string }
  | { readonly kind: 'closed' }

export type FromReader = { readonly kind: 'ready' } | Reply

export interface WriterData {
  readonly path: string
  readonly nowMs: number
}

export interface RecordedAttempt {
  readonly delivery: number
  readonly number: number
  readonly outcome: AttemptOutcome
  readonly error: string | null
  /** JSON. */
  readonly detail: string | null
  readonly startedAtMs: number
  readonly durationMs: number
}

/** A claimed delivery as the port returns it. */

export const workOf = ({ event, ...work }: StoredWork): Work => ({
  ...work,
  event: { ...event, headers: JSON.parse(event.headers) as Headers },
})

export const isReplies = (message: FromWriter): message is Extract<FromWriter, { kind: 'replies' }> =>
  message.kind === 'replies'

/** Whether no delivery can become due with this settlement. */
export const canBeHeld = ({ verdict, ordered }: StoredSettlement): boolean =>
  ordered !== true && (verdict === 'succeeded' || verdict === 'dead')

export function storedSettlement(settlement: Settlement, causeKey: number | undefined): StoredSettlement {
  const { detail: _, judgement: __, cause: ___, answer: ____, ...fields } = settlement
  return {
    ...fields,
    detail: storedDetail(settlement),
    ...(causeKey !== undefined && { causeKey }),
    dueAtMs: Math.round(settlement.dueAtMs),
    startedAtMs: Math.round(settlement.startedAtMs),
    durationMs: Math.round(settlement.durationMs),
  }
}

/** A longer body keeps a buffer of its own, so that a slow handler does not keep the bodies of many others in memory. */
const MAX_PACKED_BYTES = 4_096

/**
 * The buffers in the answers, which are transferred and not copied. Short bodies of one answer share a buffer afterwards: the main
 * thread takes one buffer much faster than many.
 */
export function buffersIn(replies: readonly Reply[]): ArrayBuffer[] {
  return replies.flatMap((reply) => {
    const work = 'value' in reply ? (reply.value as Partial<StoredClaim> | undefined)?.work : undefined
    if (work === undefined || work.length === 0) return []
    pack(work.filter(({ body }) => body.length <= MAX_PACKED_BYTES))
    return [...new Set(work.map(({ body }) => body.buffer))]
  })
}

function pack(work: readonly StoredWork[]): void {
  const bodies = new Uint8Array(work.reduce((bytes, { body }) => bytes + body.length, 0))
  let offset = 0
  for (const each of work) {
    bodies.set(each.body, offset)
    each.body = bodies.subarray(offset, offset + each.body.length)
    offset += each.body.length
  }
}
