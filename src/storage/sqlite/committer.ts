import type { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../../domain/errors.ts'
import type { AppendResult, EventRow } from '../common/event-row.ts'
import type { Reply, WireError } from '../common/wire-error.ts'
import { prepareAppend } from './append.ts'
import { prepareBringBack } from './bring-back.ts'
import { prepareClaim } from './claim.ts'
import { prepareClaimTasks, preparePruneTasks } from './claim-tasks.ts'
import { prepareJudgeClock } from './clock.ts'
import { Dedupe } from './dedupe.ts'
import { prepareEndTask } from './end-task.ts'
import { prepareIdentities } from './identity.ts'
import type { Call, SentBatch, StoredClaim, WriterOperations } from './messages.ts'
import { perform } from './perform.ts'
import { prepareForget } from './prune.ts'
import { prepareReplay } from './replay.ts'
import { prepareSettle } from './settle.ts'
import { isEnvironmental } from './sqlite-errors.ts'
import { Tally } from './tally.ts'
import { prepareTrackTask } from './track-task.ts'
import { wireErrorOf } from './wire-error.ts'

/** An event that could not be written for a reason of its own. */
class BadEvent extends Error {
  readonly event: EventRow
  constructor(event: EventRow, cause: unknown) {
    super(messageOf(cause), { cause })
    this.event = event
  }
}

/**
 * `FULL`: the commit is fsynced, and with it every earlier one. `NORMAL`: it is not; a power cut may undo it and what came
 * after it, never a part of it, and never what came before. A process that ends takes back neither.
 */
type Durability = 'FULL' | 'NORMAL'

/** What a power cut may undo: a delivery runs once more. */
const UNSYNCED: ReadonlySet<keyof WriterOperations> = new Set(['claim', 'settle'])

/**
 * Everything queued in one transaction: the answers follow its commit. One with an event in it, or anything else that is not
 * to be undone, is fsynced.
 */
export class Committer {
  readonly #db: DatabaseSync
  readonly #dedupe: Dedupe
  readonly #tally: Tally
  readonly #appender
  readonly #operations: WriterOperations
  readonly #begin
  readonly #commit
  readonly #savepoint
  readonly #release
  readonly #rollbackTo
  readonly #probe
  #durability: Durability = 'FULL'

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#dedupe = new Dedupe(db)
    this.#tally = new Tally(db)
    const endTask = prepareEndTask(db, this.#tally)
    const identities = prepareIdentities(db, this.#dedupe)
    const parts = { dedupe: this.#dedupe, identities, tally: this.#tally, endTask }
    this.#appender = prepareAppend(db, parts)
    this.#operations = {
      claim: prepareClaim(db, this.#tally),
      settle: prepareSettle(db, this.#tally),
      replay: prepareReplay(db, identities, this.#tally),
      judgeClock: prepareJudgeClock(db),
      bringBack: prepareBringBack(db),
      forget: prepareForget(db, this.#dedupe, this.#tally),
      ...prepareTrackTask(db, this.#tally, endTask),
      ...prepareClaimTasks(db, endTask),
      pruneTasks: preparePruneTasks(db, this.#tally),
    }
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#savepoint = db.prepare('SAVEPOINT call')
    this.#release = db.prepare('RELEASE call')
    this.#rollbackTo = db.prepare('ROLLBACK TO call')
    this.#probe = db.prepare("UPDATE watermark SET value = value + 1 WHERE name = 'probe'")
  }

  /**
   * What it returns is committed. An event or a call that is at fault itself is answered with its error and leaves its
   * neighbours alone. Throws if the transaction failed, which then changed nothing.
   */
  commit(batches: readonly SentBatch[], calls: readonly Call<WriterOperations>[]): readonly Reply[] {
    const bad = new Map<EventRow, WireError>()
    const durability = batches.length > 0 || calls.some(({ name }) => !UNSYNCED.has(name)) ? 'FULL' : 'NORMAL'
    for (;;) {
      try {
        return this.#transaction(durability, () => [
          ...batches.map((sent) => ({ id: sent.batch.id, value: this.#append(sent, bad) })),
          ...calls.map((call) => this.#call(call)),
        ])
      } catch (error) {
        if (!(error instanceof BadEvent)) throw error
        bad.set(error.event, { error: 'invalid_request', message: error.message })
      }
    }
  }

  /** Throws unless the database can be written. */
  probe(): void {
    this.#transaction('FULL', () => this.#probe.run())
  }

  #transaction<Result>(durability: Durability, run: () => Result): Result {
    try {
      this.#setDurability(durability)
      this.#begin.run()
      this.#dedupe.flushSlice()
      const result = run()
      this.#tally.write()
      this.#commit.run()
      this.#tally.forget()
      this.#appender.committed()
      this.#dedupe.committed()
      return result
    } catch (error) {
      this.#rollBack()
      throw error
    }
  }

  /** Takes effect between transactions only. Not prepared: this pragma runs when it is, and not again. */
  #setDurability(durability: Durability): void {
    if (durability === this.#durability) return
    this.#db.exec(`PRAGMA synchronous = ${durability}`)
    this.#durability = durability
  }

  #rollBack(): void {
    this.#tally.forget()
    this.#appender.rolledBack()
    this.#dedupe.rolledBack()
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
  }

  #append(
    { batch: { events, bodies }, nowMs }: SentBatch,
    bad: ReadonlyMap<EventRow, WireError>,
  ): readonly AppendResult[] {
    let offset = 0
    return events.map((event) => {
      const body = new Uint8Array(bodies, offset, event[14])
      offset += event[14]
      const fault = bad.get(event)
      if (fault !== undefined) return fault
      try {
        return this.#appender.append(event, body, nowMs)
      } catch (error) {
        throw isEnvironmental(error) ? error : new BadEvent(event, error)
      }
    })
  }

  #call(call: Call<WriterOperations>): Reply {
    const tally = this.#tally.snapshot()
    const removed = this.#dedupe.markRemoved()
    this.#savepoint.run()
    try {
      const value = perform(this.#operations, call)
      this.#release.run()
      return { id: call.id, value }
    } catch (error) {
      if (isEnvironmental(error)) throw error
      this.#rollbackTo.run()
      this.#release.run()
      this.#tally.restore(tally)
      this.#dedupe.keepRemovedSince(removed)
      return { id: call.id, failed: wireErrorOf(error) }
    }
  }
}

/** The buffers that an answer carries: they are handed over, not copied. */
export function buffersIn(replies: readonly Reply[]): ArrayBuffer[] {
  return replies.flatMap((reply) => {
    const work = 'value' in reply ? (reply.value as Partial<StoredClaim> | undefined)?.work : undefined
    return work?.map(({ body }) => body.buffer) ?? []
  })
}
