import type { Worker } from 'node:worker_threads'
import type { Clock, ClockLook, ClockRecord } from '../../domain/clock.ts'
import type { DeliverySummary, Settlement } from '../../domain/delivery.ts'
import type { Claimed, ClaimRequest, DeliveryFilter, Replay, Replayed } from '../../domain/delivery-queue.ts'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { EventSummary, NewEvent } from '../../domain/event.ts'
import type { EventFilter } from '../../domain/event-filter.ts'
import type { EventDetail, EventForm, Receipt } from '../../domain/event-store.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import type { OldBounds, OldEvents, PruneRequest, PruneStep } from '../../domain/retention-store.ts'
import type { OpenStore, StoreLog } from '../../domain/store.ts'
import type { LongestWaits, RepairedTimes } from '../../domain/store-clock.ts'
import type { Counts } from '../../domain/store-health.ts'
import type { EndedTask, LeasedTask, NewTask, Task } from '../../domain/task.ts'
import type {
  SourceActivity,
  TaskClaim,
  TaskFilter,
  TaskPostponement,
  TaskSubmission,
  Tracked,
} from '../../domain/task-store.ts'
import { AppendQueue } from '../shared/append-queue.ts'
import { announceSettled } from '../shared/deliveries.ts'
import { EndedTaskListeners } from '../shared/ended-tasks.ts'
import { watchClock } from './clock.ts'
import type { ProcessLock } from './process-lock.ts'
import { pruneInCommits } from './prune.ts'
import { repairFound } from './repair-times.ts'
import { ThreadCalls, WriterMailbox } from './thread-calls.ts'
import { WireBatches } from './thread-event.ts'
import {
  type Call,
  canBeHeld,
  type FromReader,
  type FromWriter,
  isReplies,
  type ReaderOperations,
  storedSettlement,
  type WriterOperations,
  workOf,
} from './thread-messages.ts'

export interface SqliteStoreOptions {
  readonly clock: Clock
  readonly monotonicMs: () => number
  readonly onLog: StoreLog
}

const unavailable = (message: string): HoldfastError => new HoldfastError('unavailable', message)

/** The embedded store, opened by `open.ts`: sends calls and batches to its two threads, and answers with their replies. */
export class SqliteStore implements OpenStore {
  readonly replicas = undefined
  /** No other process shares the database. */
  readonly watchEnds = () => () => {}
  readonly #loss = Promise.withResolvers<Error>()
  readonly lost = this.#loss.promise
  readonly #writer: Worker
  readonly #reader: Worker
  readonly #mailbox = new WriterMailbox((messages, buffers) => this.#writer.postMessage(messages, buffers))
  readonly #release: () => void
  readonly #clock: Clock
  readonly #log: StoreLog
  readonly #endedTasks = new EndedTaskListeners((level, message) => this.#log(level, message))
  #lastId = 0
  readonly #nextId = () => ++this.#lastId
  readonly #batches = new WireBatches(
    (batch) => this.#mailbox.post({ kind: 'append', batch, nowMs: this.#clock() }),
    this.#nextId,
  )
  readonly #appends = new AppendQueue(
    (batch) => this.#batches.write(batch),
    (ended) => this.#endedTasks.notify(ended),
  )
  readonly #writes = new ThreadCalls<WriterOperations>(
    (call) => this.#post(call as Call<WriterOperations>),
    this.#nextId,
  )
  readonly #reads = new ThreadCalls<ReaderOperations>((call) => this.#reader.postMessage(call), this.#nextId)
  readonly #closed = Promise.withResolvers<void>()
  readonly #writerEnded: Promise<unknown>
  readonly #readerEnded: Promise<unknown>
  #faults: readonly string[] = []
  #warnings: readonly string[] = []
  #ended: string | undefined
  #closing: Promise<void> | undefined

  constructor(writer: Worker, reader: Worker, { release, taken }: ProcessLock, options: SqliteStoreOptions) {
    this.#writer = writer
    this.#reader = reader
    this.#release = release
    void taken.then((reason) => this.#lose(reason))
    this.#clock = watchClock(options.clock, options.monotonicMs, (jump) => {
      // If this fails, the leases end too early, and their deliveries run once more.
      void this.#writes.call('shiftLeases', jump).catch(() => {})
    })
    this.#log = options.onLog
    this.#writerEnded = new Promise((ended) => writer.once('exit', ended))
    this.#readerEnded = new Promise((ended) => reader.once('exit', ended))
    writer.on('message', (message: FromWriter) => this.#receive(message))
    reader.on('message', (reply: FromReader) => {
      if ('kind' in reply) return
      if ('failed' in reply && reply.failed.isDamage) this.#mailbox.post({ kind: 'damaged' })
      this.#reads.answer(reply)
    })
    for (const [name, thread] of Object.entries({ writer, reader })) {
      thread.on('error', (error) => this.#lose(`the store's ${name} thread failed: ${messageOf(error)}`))
      thread.on('exit', (code) => this.#lose(`the store's ${name} thread ended with code ${code}`))
    }
  }

  append(event: NewEvent): Promise<Receipt> {
    return this.#refusing() ?? this.#appends.append(event)
  }

  async claim(request: ClaimRequest): Promise<Claimed> {
    const { work, nextDueAtMs } = await (this.#refusing() ?? this.#writes.call('claim', request, this.#clock()))
    return { work: work.map(workOf), nextDueAtMs }
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    const call = this.#refusing() ?? this.#writes.call('settle', settlements.map(storedSettlement), this.#clock())
    return announceSettled(await call, this.#endedTasks, this.#log)
  }

  async replay(replay: Replay): Promise<Replayed> {
    return this.#refusing() ?? this.#writes.call('replay', replay, this.#clock())
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

  async events(filter: EventFilter, page: PageRequest): Promise<Page<EventSummary>> {
    return this.#refusing() ?? this.#reads.call('events', filter, page)
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

  async deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>> {
    return this.#refusing() ?? this.#reads.call('deliveries', filter, page)
  }

  async counts(): Promise<Counts> {
    return this.#refusing() ?? this.#reads.call('counts', this.#clock())
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
    return this.#refusing() ?? this.#writes.call('pruneTasks', endedBeforeMs, limit)
  }

  async tasks(filter: TaskFilter, page: PageRequest): Promise<Page<Task>> {
    return this.#refusing() ?? this.#reads.call('tasks', filter, page)
  }

  async task(source: string, id: string): Promise<Task | undefined> {
    return this.#refusing() ?? this.#reads.call('task', source, id)
  }

  async activity(source: string, sinceMs: number): Promise<SourceActivity> {
    return this.#refusing() ?? this.#reads.call('activity', source, sinceMs)
  }

  onTaskEnded(listener: (ended: EndedTask) => void): void {
    this.#endedTasks.add(listener)
  }

  faults(): readonly string[] {
    if (this.#ended !== undefined) return [this.#ended]
    return [...this.#faults, ...this.#appends.faults()]
  }

  warnings(): readonly string[] {
    return this.#warnings
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // The writer of a lost store is not asked to close, because it would write to files that may belong to another process by
    // now.
    if (this.#ended !== undefined) await Promise.all([this.#writer.terminate(), this.#reader.terminate()])
    else await this.#closeThreads()
    await Promise.all([this.#writerEnded, this.#readerEnded])
    this.#fail('the store is closed')
    this.#release()
  }

  async #closeThreads(): Promise<void> {
    this.#appends.flush()
    this.#ended = 'the store is closed'
    this.#mailbox.post({ kind: 'close' })
    await this.#closed.promise
    this.#reader.postMessage('close')
  }

  #refusing(): Promise<never> | undefined {
    return this.#ended === undefined ? undefined : Promise.reject(unavailable(this.#ended))
  }

  #post(call: Call<WriterOperations>): void {
    if (call.name === 'settle' && call.args[0].every(canBeHeld)) this.#mailbox.hold({ kind: 'call', call })
    else this.#mailbox.post({ kind: 'call', call })
  }

  #receive(message: FromWriter): void {
    if (isReplies(message)) {
      for (const reply of message.replies) {
        if (!this.#batches.answer(reply)) this.#writes.answer(reply)
      }
    } else if (message.kind === 'faults') {
      this.#faults = message.faults
      if (message.faults.length === 0) this.#log('info', 'the store takes events again')
      for (const fault of message.faults) this.#log('error', `the store refuses events: ${fault}`)
    } else if (message.kind === 'warnings') {
      this.#warnings = message.warnings
      if (message.news !== undefined) this.#log('error', message.news)
    } else if (message.kind === 'log') this.#log(message.level, message.message)
    else if (message.kind === 'lost') this.#lose(message.message)
    else if (message.kind === 'closed') this.#closed.resolve()
  }

  #lose(reason: string): void {
    this.#closed.resolve()
    if (this.#closing !== undefined || this.#ended !== undefined) return
    this.#ended = reason
    this.#log('error', reason)
    this.#fail(reason)
    this.#loss.resolve(new Error(reason))
  }

  #fail(reason: string): void {
    const error = unavailable(reason)
    this.#batches.failAll(error)
    this.#appends.failGathered(error)
    this.#writes.failAll(error)
    this.#reads.failAll(error)
  }
}
