import type { DatabaseSync } from 'node:sqlite'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { messageOf } from '../../domain/errors.ts'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ROWS } from '../../domain/limits.ts'
import type { Reply, WireError } from '../common/wire-error.ts'
import { Checkpointer } from './checkpoint.ts'
import { letGoOfTasks } from './claim-tasks.ts'
import { buffersIn, Committer } from './committer.ts'
import { openForWriting, refusal } from './connection.ts'
import { Damage, DamagedPage } from './damage.ts'
import { Health } from './health.ts'
import { takeBackAll } from './lost-leases.ts'
import type { Call, FromWriter, SentBatch, ToWriter, WriterData, WriterOperations } from './messages.ts'
import { migrate } from './migrate.ts'
import { syncLog } from './place.ts'
import { isFatal } from './sqlite-errors.ts'
import { Tally } from './tally.ts'
import { Warnings } from './warnings.ts'

/**
 * The store's thread, and its one connection that writes. It takes what has queued up, commits it at once and answers: the
 * time that one commit takes is the window in which the next one gathers. Appends go first; a few calls ride along in
 * every commit, so that neither starves.
 */

/** Claims, settlements and the like in one commit. */
const MAX_COMMIT_CALLS = 16
/** Between two looks without traffic at whether events can be kept: while they can, and while they cannot. */
const PROBE_INTERVAL_MS = 10_000
const RECOVERY_INTERVAL_MS = 1_000
const PAGE_BYTES = 4_096
/** What a call writes, about; a claim or settlement is for up to some dozens of deliveries. */
const CALL_BYTES = 16 * PAGE_BYTES

const port = parentPort
if (port === null) throw new Error('writer.ts runs as a worker thread')
const { path, nowMs } = workerData as WriterData

const send = (message: FromWriter, buffers: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...buffers])

const health = new Health(path, (faults) => {
  send({ kind: 'faults', faults })
  probing?.refresh()
})
const warnings = new Warnings((each, news) => send({ kind: 'warnings', warnings: each, news }))
const damage = new Damage((found) => warnings.damaged(found))
let probing: { refresh(): void; stop(): void } | undefined
const batches: SentBatch[] = []
const calls: Call<WriterOperations>[] = []
let closing = false

const opened = open()
if (opened !== undefined) start(opened)

interface Opened {
  readonly db: DatabaseSync
  readonly committer: Committer
  readonly checkpointer: Checkpointer
}

function open(): Opened | undefined {
  let db: DatabaseSync | undefined
  try {
    db = openForWriting(path)
    migrate(db, path)
    recover(db)
    syncLog(path)
    return { db, committer: new Committer(db, damage), checkpointer: openCheckpointer(db) }
  } catch (error) {
    db?.close()
    send({ kind: 'refused', fault: refusal(path, error).message })
    return undefined
  }
}

function openCheckpointer(db: DatabaseSync): Checkpointer {
  return new Checkpointer(db, path, (run) => guarded(() => checkpoint(run)), lose)
}

/** What lies on damaged pages is left as it is. */
function recover(db: DatabaseSync): void {
  const tally = new Tally(db)
  for (;;) {
    try {
      db.exec('BEGIN IMMEDIATE')
      takeBackAll(db, tally, damage, nowMs)
      letGoOfTasks(db, nowMs)
      tally.write()
      db.exec('COMMIT')
      return
    } catch (error) {
      tally.forget()
      if (db.isTransaction) db.exec('ROLLBACK')
      if (!(error instanceof DamagedPage && damage.avoid(error))) throw error
    }
  }
}

function start({ db, committer, checkpointer }: Opened): void {
  probing = repeated(
    () => guarded(() => probe(committer, checkpointer)),
    () => (health.isWell() ? PROBE_INTERVAL_MS : RECOVERY_INTERVAL_MS),
  )
  port?.on('message', (messages: readonly ToWriter[]) => {
    messages.forEach(accept)
    guarded(() => work(committer, checkpointer))
    if (closing) {
      probing?.stop()
      void close(db, checkpointer)
    }
  })
  send({ kind: 'ready' })
  health.shortOfSpace()
}

/** Runs something again and again; `refresh` has it wait anew for as long as it is to wait now. */
function repeated(run: () => void, intervalMs: () => number): { refresh(): void; stop(): void } {
  const start = (): NodeJS.Timeout =>
    setTimeout(() => {
      timer = start()
      run()
    }, intervalMs())
  let timer = start()
  let isStopped = false
  return {
    refresh: () => {
      clearTimeout(timer)
      if (!isStopped) timer = start()
    },
    stop: () => {
      clearTimeout(timer)
      isStopped = true
    },
  }
}

function accept(message: ToWriter): void {
  if (message.kind === 'append') batches.push(message)
  else if (message.kind === 'call') calls.push(message.call)
  else closing = true
}

/** A failed fsync ends the store: nothing is answered any more, and the process is to end. */
function guarded(run: () => void): void {
  try {
    run()
  } catch (error) {
    lose(error)
    throw error
  }
}

function lose(error: unknown): void {
  send({ kind: 'lost', message: messageOf(error) })
}

function work(committer: Committer, checkpointer: Checkpointer): void {
  for (;;) {
    for (let next = receiveMessageOnPort(port as NonNullable<typeof port>); next !== undefined; ) {
      ;(next.message as readonly ToWriter[]).forEach(accept)
      next = receiveMessageOnPort(port as NonNullable<typeof port>)
    }
    if (batches.length === 0 && calls.length === 0) return
    const appends = takeBatches()
    const due = calls.splice(0, MAX_COMMIT_CALLS)
    const replies = commit(committer, appends, due)
    send({ kind: 'replies', replies }, buffersIn(replies))
    checkpoint(() => checkpointer.ifDue(bytesOf(appends) + due.length * CALL_BYTES, health.reserveBytes()))
  }
}

function takeBatches(): readonly SentBatch[] {
  let rows = 0
  let bytes = 0
  const end = batches.findIndex(({ batch }, index) => {
    rows += batch.events.length
    bytes += batch.bodies.byteLength
    return index > 0 && (rows > MAX_COMMIT_ROWS || bytes > MAX_COMMIT_BYTES)
  })
  return batches.splice(0, end < 0 ? batches.length : end)
}

function commit(
  committer: Committer,
  appends: readonly SentBatch[],
  due: readonly Call<WriterOperations>[],
): readonly Reply[] {
  const short = appends.length > 0 ? health.shortOfSpace(bytesOf(appends)) : undefined
  const refused = short === undefined ? [] : refuse(idsOf(appends), { error: 'unavailable', message: short })
  const taken = short === undefined ? appends : []
  try {
    const { replies, damaged } = committer.commit(taken, due)
    if (damaged !== undefined) health.damaged(damaged)
    else if (taken.length > 0) health.kept()
    return [...refused, ...replies]
  } catch (error) {
    if (isFatal(error)) throw error
    health.failedToWrite(error)
    return [...refused, ...refuse([...idsOf(taken), ...due], { error: 'unavailable', message: messageOf(error) })]
  }
}

/** What a commit takes up on disk, about: each event touches a page or two beside its body. */
const bytesOf = (appends: readonly SentBatch[]): number =>
  appends.reduce((bytes, { batch: { events, bodies } }) => bytes + bodies.byteLength + events.length * PAGE_BYTES, 0)

const idsOf = (appends: readonly SentBatch[]) => appends.map(({ batch: { id } }) => ({ id }))

const refuse = (requests: readonly { readonly id: number }[], failed: WireError): readonly Reply[] =>
  requests.map(({ id }) => ({ id, failed }))

/** A checkpoint that fails costs nothing but space: it is tried again after the next commit. */
function checkpoint(run: () => void): void {
  try {
    run()
  } catch (error) {
    if (isFatal(error)) throw error
    send({ kind: 'log', level: 'warn', message: `the write-ahead log could not be checkpointed: ${messageOf(error)}` })
  }
}

/** Finds out without traffic whether the store can write again. */
function probe(committer: Committer, checkpointer: Checkpointer): void {
  const short = health.shortOfSpace() !== undefined
  if (!short && !health.hasWriteFault()) return
  try {
    if (short) checkpointer.truncate()
    if (health.hasWriteFault()) committer.probe()
    health.wrote()
  } catch (error) {
    if (isFatal(error)) throw error
    health.failedToWrite(error)
  }
}

async function close(db: DatabaseSync, checkpointer: Checkpointer): Promise<void> {
  try {
    await checkpointer.close()
    checkpointer.truncate()
    db.close()
  } catch (error) {
    send({ kind: 'log', level: 'warn', message: `the database was not closed cleanly: ${messageOf(error)}` })
  }
  send({ kind: 'closed' })
  port?.close()
}
