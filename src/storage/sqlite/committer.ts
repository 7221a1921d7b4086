import type { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../../domain/errors.ts'
import { prepareAppend } from './append.ts'
import { prepareNameCauses, preparePruneCauses, prepareRecordCauses } from './causes.ts'
import { prepareClaim } from './claim.ts'
import { prepareClaimTasks } from './claim-tasks.ts'
import { prepareJudgeClock, prepareShiftLeases } from './clock.ts'
import { StateCounts } from './counts.ts'
import { type Damage, DamagedPage } from './damage.ts'
import { prepareDiscard } from './dead-letters.ts'
import { prepareDeliveryOrder } from './delivery-order.ts'
import { prepareCancelTask, prepareEndTask } from './end-task.ts'
import { isCorruption, isEnvironmental, isFatal, type Reply, type WireError, wireErrorOf } from './errors.ts'
import { prepareIdentities } from './event-identity.ts'
import { prepareGiveUpId } from './id-successor.ts'
import { IdentityIndex } from './identity-index.ts'
import { preparePauses } from './pauses.ts'
import { prepareIndexWriter } from './payload-index.ts'
import { prepareForget, preparePruneTasks, prepareRedate } from './prune.ts'
import { prepareRecords } from './records.ts'
import { prepareRepairTimes } from './repair-times.ts'
import { prepareRepeatCounter } from './repeats.ts'
import { prepareDeliver, prepareReplay } from './replay.ts'
import { prepareReplayJobs } from './replay-jobs.ts'
import { prepareSettle } from './settle.ts'
import { runCall } from './thread-calls.ts'
import { fromWire, type WireEvent, type WireResult } from './thread-event.ts'
import type { Call, SentBatch, StoredClaim, WriterOperations } from './thread-messages.ts'
import { prepareTrackTask } from './track-task.ts'
import { durabilityOf, Transactions } from './transactions.ts'

/** How many damaged pages one call may meet; with more, the call fails, and the next call continues from there. */
const MAX_DETOURS = 64
/** How many events of one commit may fail on damaged pages; with more, no event of the commit is stored. */
const MAX_DAMAGED_EVENTS = 8
/** After this many failures in a row, the store assumes that the damage affects all new events, and not only single ones. */
const DAMAGED_IN_A_ROW = 3

/** An event that could not be written, through its own fault or because of the rows that it refers to. */
class BadEvent extends Error {
  readonly event: WireEvent
  override readonly cause: unknown
  constructor(event: WireEvent, cause: unknown) {
    super(messageOf(cause))
    this.event = event
    this.cause = cause
  }
}

const DAMAGED_FOR_EVENTS = 'the database is damaged where new events are stored'

interface Committed {
  readonly replies: readonly Reply[]
  /** Why no event can be stored, although other calls may succeed. */
  readonly damaged: string | undefined
}

/**
 * Commits batches of events and calls in one transaction, and answers after the commit. The commit is fsynced if it has an
 * event in it, or any call that must not be undone.
 */
export class Committer {
  readonly #dedupe: IdentityIndex
  readonly #counts: StateCounts
  readonly #appender
  readonly transactions: Transactions
  readonly #operations: WriterOperations
  readonly #savepoint
  readonly #release
  readonly #rollbackTo
  readonly #probe
  readonly #damage: Damage
  #damagedInARow = 0

  constructor(db: DatabaseSync, damage: Damage) {
    this.#damage = damage
    this.#dedupe = new IdentityIndex(db)
    this.#counts = new StateCounts(db)
    const endTask = prepareEndTask(db, this.#counts, damage)
    const identities = prepareIdentities(db, this.#dedupe, damage)
    const order = prepareDeliveryOrder(db, damage)
    const deliver = prepareDeliver(db, this.#counts, order)
    const index = prepareIndexWriter(db)
    const repeats = prepareRepeatCounter(db, damage)
    const parts = {
      dedupe: this.#dedupe,
      identities,
      counts: this.#counts,
      endTask,
      order,
      index,
      repeats,
    }
    this.#appender = prepareAppend(db, parts)
    const replay = prepareReplay(db, identities, deliver)
    this.#operations = {
      claim: prepareClaim(db, this.#counts, damage, order),
      settle: prepareSettle(db, {
        giveUpId: prepareGiveUpId(db, { identities, deliver, endTask }),
        counts: this.#counts,
        damage,
        order,
      }),
      replay,
      ...prepareReplayJobs(db, replay),
      recordCauses: prepareRecordCauses(db),
      nameCauses: prepareNameCauses(db, damage),
      pruneCauses: preparePruneCauses(db),
      ...prepareDiscard(db, this.#counts, damage),
      judgeClock: prepareJudgeClock(db),
      shiftLeases: prepareShiftLeases(db),
      repairTimes: prepareRepairTimes(db, damage),
      redate: prepareRedate(db),
      holderOf: identities.holderOf,
      ...index,
      forget: prepareForget(db, { dedupe: this.#dedupe, counts: this.#counts, damage, index }),
      ...prepareTrackTask(db, this.#counts, endTask, damage),
      ...prepareClaimTasks(db, damage),
      cancelTask: prepareCancelTask(db, endTask),
      pruneTasks: preparePruneTasks(db, this.#counts, damage),
      ...prepareRecords(db),
      ...preparePauses(db, damage),
    }
    this.#savepoint = db.prepare('SAVEPOINT call')
    this.#release = db.prepare('RELEASE call')
    this.#rollbackTo = db.prepare('ROLLBACK TO call')
    this.#probe = db.prepare("UPDATE watermark SET value = value + 1 WHERE name = 'probe'")
    this.transactions = new Transactions(db, {
      begun: () => this.#flushSlice(),
      ending: () => this.#counts.write(),
      committed: () => {
        this.#counts.forget()
        this.#appender.committed()
        this.#dedupe.committed()
      },
      rolledBack: () => {
        this.#counts.forget()
        this.#appender.rolledBack()
        this.#dedupe.rolledBack()
      },
      repeats,
      avoid: (found) => damage.mended(found) || damage.avoid(found),
    })
  }

  /**
   * Returns once the transaction is committed. An event or a call that is itself at fault, or that meets a damaged page, is
   * answered with its error; all others are committed. Throws if the transaction failed, which then changed nothing.
   */
  commit(batches: readonly SentBatch[], calls: readonly Call<WriterOperations>[]): Committed {
    try {
      return this.#answered(this.#commitTogether(batches, calls))
    } catch (error) {
      if (!isCorruption(error)) throw error
      return this.#answered(this.#commitApart(batches, calls))
    }
  }

  #answered(replies: readonly Reply[]): Committed {
    return { replies, damaged: this.#damagedInARow < DAMAGED_IN_A_ROW ? undefined : DAMAGED_FOR_EVENTS }
  }

  #commitTogether(batches: readonly SentBatch[], calls: readonly Call<WriterOperations>[]): readonly Reply[] {
    const bad = new Map<WireEvent, WireError>()
    let damaged = 0
    for (;;) {
      try {
        const replies = this.transactions.run(durabilityOf(batches, calls), () => [
          ...batches.map((sent) => ({ id: sent.batch.id, value: this.#append(sent, bad) })),
          ...calls.map((call) => this.#call(call)),
        ])
        const events = batches.reduce((sum, { batch }) => sum + batch.events.length, 0)
        if (events > 0) this.#damagedInARow = damaged < events ? 0 : this.#damagedInARow + damaged
        return replies
      } catch (error) {
        const cause = error instanceof BadEvent ? error.cause : error
        if (isCorruption(cause) && this.#damage.mended(cause)) continue
        if (!(error instanceof BadEvent)) throw error
        if (isCorruption(error.cause) && ++damaged > MAX_DAMAGED_EVENTS) {
          this.#damagedInARow += damaged
          throw error.cause
        }
        bad.set(error.event, wireErrorOf(error.cause))
      }
    }
  }

  /** Commits the events in one transaction and each call in its own, so that damage fails only the requests that meet it. */
  #commitApart(batches: readonly SentBatch[], calls: readonly Call<WriterOperations>[]): readonly Reply[] {
    const ids = batches.map(({ batch: { id } }) => ({ id }))
    const appended = batches.length === 0 ? [] : this.#despiteDamage(ids, () => this.#commitTogether(batches, []))
    return [
      ...appended,
      ...calls.flatMap((call) => this.#despiteDamage([call], () => this.#commitTogether([], [call]))),
    ]
  }

  #despiteDamage(
    requests: readonly ({ readonly id: number } | Call<WriterOperations>)[],
    commit: () => readonly Reply[],
  ): readonly Reply[] {
    for (let detours = 0; ; detours++) {
      try {
        return commit()
      } catch (error) {
        if (isFatal(error)) throw error
        const isKnown = error instanceof DamagedPage && this.#damage.avoid(error)
        if (isKnown && detours < MAX_DETOURS) continue
        if (!isKnown) return requests.map(({ id }) => ({ id, failed: wireErrorOf(error) }))
        return requests.map((request) => unfinished(request) ?? { id: request.id, failed: wireErrorOf(error) })
      }
    }
  }

  /** The key of the event that was committed last, by this process or by an earlier one. */
  lastKey = (): number => this.#appender.lastKey()

  /** Throws unless the database can be written. */
  probe(): void {
    this.transactions.run('FULL', () => this.#probe.run())
  }

  /** Entries that cannot be put on disk stay in memory, and are read again at open. */
  #flushSlice(): void {
    this.#damage.around(
      'the index of',
      'ids',
      () => this.#dedupe.flushSlice(),
      () => undefined,
    )
  }

  #append(
    { batch: { events, bodies }, nowMs }: SentBatch,
    bad: ReadonlyMap<WireEvent, WireError>,
  ): readonly WireResult[] {
    let offset = 0
    return events.map((wired) => {
      const event = fromWire(wired)
      const body = new Uint8Array(bodies, offset, event.bodyBytes)
      offset += event.bodyBytes
      const fault = bad.get(wired)
      if (fault !== undefined) return fault
      try {
        return this.#appender.append(event, body, nowMs)
      } catch (error) {
        // The next try avoids a damaged step. The event itself fails only if the damage cannot be avoided.
        const failsTransaction = error instanceof DamagedPage || (isEnvironmental(error) && !isCorruption(error))
        throw failsTransaction ? error : new BadEvent(wired, error)
      }
    })
  }

  #call(call: Call<WriterOperations>): Reply {
    const counts = this.#counts.snapshot()
    const removed = this.#dedupe.markRemoved()
    this.#savepoint.run()
    try {
      const value = runCall(this.#operations, call)
      this.#release.run()
      return { id: call.id, value }
    } catch (error) {
      if (isEnvironmental(error)) throw error
      this.#rollbackTo.run()
      this.#release.run()
      this.#counts.restore(counts)
      this.#dedupe.keepRemovedSince(removed)
      return { id: call.id, failed: wireErrorOf(error) }
    }
  }
}

/** The answer to a call that has met too much damage: the next call continues from there. */
function unfinished(request: { readonly id: number } | Call<WriterOperations>): Reply | undefined {
  if (!('name' in request)) return undefined
  const { id, name } = request
  if (name === 'claim') return { id, value: { work: [], nextDueAtMs: request.args[1] } satisfies StoredClaim }
  if (name === 'claimTasks') return { id, value: [] }
  return name === 'pruneTasks' ? { id, value: 0 } : undefined
}
