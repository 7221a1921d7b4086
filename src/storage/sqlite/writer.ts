import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { messageOf } from '../../domain/errors.ts'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ROWS } from '../../domain/limits.ts'
import type { Checkpointer } from './checkpoint.ts'
import type { Committer } from './committer.ts'
import { refusal } from './connection.ts'
import type { DatabaseFiles } from './database-directory.ts'
import { isFatal, type Reply, type WireError } from './errors.ts'
import { Health, Warnings } from './health.ts'
import { closeDatabase, type OpenDatabase, openDatabase } from './open-database.ts'
import {
  buffersIn,
  type Call,
  type FromWriter,
  type SentBatch,
  type ToWriter,
  UNSYNCED,
  type WriterData,
  type WriterOperations,
} from './thread-messages.ts'
import { LogCut, type SyncedLog } from './wal-sync.ts'

/**
 * The writer thread, which has the one connection that writes. It commits everything that is queued in one transaction, and
 * then answers; during a commit, the messages for the next one gather. Appends go first; each commit also takes a few calls, so
 * that neither starves.
 */

/** Calls (claims, settlements and the like) in one commit. */
const MAX_COMMIT_CALLS = 16
/** Time between two probes that check, without traffic, whether events can be stored: while they can, and while they cannot. */
const PROBE_INTERVAL_MS = 10_000
const RECOVERY_INTERVAL_MS = 1_000
/** Time between two checks, without traffic, that the files are still there. */
const WATCH_INTERVAL_MS = 900
const PAGE_BYTES = 4_096
/** About how many bytes a call writes; a claim or a settlement is for up to some dozens of deliveries. */
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
/** Warnings found while the database opens; they are sent after `ready`. Undefined: it is open. */
let early: FromWriter[] | undefined = []
const warnings = new Warnings((each, news) => {
  const message: FromWriter = { kind: 'warnings', warnings: each, news }
  if (early === undefined) send(message)
  else early.push(message)
})
let probing: { refresh(): void; stop(): void } | undefined
const batches: SentBatch[] = []
const calls: Call<WriterOperations>[] = []
let closing = false

const opened = open()
if (opened !== undefined) void opened.checkpointer.opened.then(() => start(opened))

function open(): OpenDatabase | undefined {
  try {
    return openDatabase({
      path,
      nowMs,
      warnings,
      onCheckpoint: (run) => guarded(() => checkpoint(run)),
      onLost: lose,
    })
  } catch (error) {
    send({ kind: 'refused', fault: refusal(path, error).message })
    return undefined
  }
}

function start(opened: OpenDatabase): void {
  const { committer, checkpointer, synced } = opened
  probing = repeat(
    () => guarded(() => probe(committer, checkpointer, synced)),
    () => (health.isWell() ? PROBE_INTERVAL_MS : RECOVERY_INTERVAL_MS),
  )
  const watching = repeat(
    () => guarded(() => watch(opened)),
    () => WATCH_INTERVAL_MS,
  )
  port?.on('message', (messages: readonly ToWriter[]) => {
    for (const message of messages) accept(message, opened)
    guarded(() => work(opened))
    if (closing) {
      probing?.stop()
      watching.stop()
      void close(opened)
    }
  })
  send({ kind: 'ready' })
  for (const message of early ?? []) send(message)
  early = undefined
  health.shortOfSpace()
}

function accept(message: ToWriter, { damage }: OpenDatabase): void {
  if (message.kind === 'append') batches.push(message)
  else if (message.kind === 'call') calls.push(message.call)
  else if (message.kind === 'damaged') damage.mended()
  else closing = true
}

/** A failed fsync, or a log that was cut, ends the store: this thread answers nothing more, and the process is to end. */
function guarded(run: () => void): void {
  try {
    run()
  } catch (error) {
    lose(error instanceof LogCut ? error : new Error(`a write to disk failed for good: ${messageOf(error)}`))
    throw error
  }
}

function lose(error: unknown): void {
  send({ kind: 'lost', message: messageOf(error) })
}

function work(opened: OpenDatabase): void {
  const { checkpointer } = opened
  for (;;) {
    for (let next = receiveMessageOnPort(port as NonNullable<typeof port>); next !== undefined; ) {
      for (const message of next.message as readonly ToWriter[]) accept(message, opened)
      next = receiveMessageOnPort(port as NonNullable<typeof port>)
    }
    if (batches.length === 0 && calls.length === 0) return
    const appends = takeBatches()
    const due = calls.splice(0, MAX_COMMIT_CALLS)
    const replies = commit(opened, appends, due)
    send({ kind: 'replies', replies }, buffersIn(replies))
    checkpoint(() => checkpointer.ifDue(bytesOf(appends) + due.length * CALL_BYTES, health.reserveBytes()))
  }
}

function takeBatches(): readonly SentBatch[] {
  let rows = 0
  let bytes = 0
  const end = batches.findIndex(({ batch }, index) => {
    rows += batch.events.length
    bytes += batch.bodyBytes
    return index > 0 && (rows > MAX_COMMIT_ROWS || bytes > MAX_COMMIT_BYTES)
  })
  return batches.splice(0, end < 0 ? batches.length : end)
}

function commit(
  { committer, files, synced }: OpenDatabase,
  appends: readonly SentBatch[],
  due: readonly Call<WriterOperations>[],
): readonly Reply[] {
  synced.ensureWhole()
  const isLasting = ({ name }: Call<WriterOperations>) => !UNSYNCED.has(name)
  const lasting = [...idsOf(appends), ...due.filter(isLasting)]
  const filesReason =
    lasting.length > 0 && health.filesFault() !== undefined ? health.lookAtFiles(files, 'always')?.message : undefined
  const refusalReason = filesReason ?? (appends.length > 0 ? health.shortOfSpace(bytesOf(appends)) : undefined)
  const refused = refuse(
    filesReason !== undefined ? lasting : refusalReason !== undefined ? idsOf(appends) : [],
    unavailable(refusalReason ?? ''),
  )
  const accepted = refusalReason === undefined ? appends : []
  const calls = filesReason === undefined ? due : due.filter((call) => !isLasting(call))
  try {
    if (calls.some(({ name }) => name === 'forget')) synced.forget()
    const { replies, damaged } = committer.commit(accepted, calls)
    if (damaged !== undefined) health.damaged(damaged)
    else if (accepted.length > 0) health.kept()
    if (lasting.length > refused.length && committer.transactions.isSynced())
      synced.note(Date.now(), committer.lastKey())
    committer.transactions.countRepeats()
    return [...refused, ...stillThere(files, replies, lasting)]
  } catch (error) {
    if (isFatal(error) || error instanceof LogCut) throw error
    health.failedToWrite(error)
    return [...refused, ...refuse([...idsOf(accepted), ...calls], unavailable(messageOf(error)))]
  }
}

/** Commits to files that were deleted or replaced meanwhile are answered as `unavailable`: they are not safe. */
function stillThere(
  files: DatabaseFiles,
  replies: readonly Reply[],
  lasting: readonly { readonly id: number }[],
): readonly Reply[] {
  const filesFault = lasting.length > 0 ? health.lookAtFiles(files, 'ifChanged') : undefined
  if (filesFault === undefined) return replies
  const ids = new Set(lasting.map(({ id }) => id))
  return replies.map((reply) => (ids.has(reply.id) ? { id: reply.id, failed: unavailable(filesFault.message) } : reply))
}

/**
 * Checks that the files are still there. If only the log is gone, everything in it is copied into the database, and the process
 * has to start again.
 */
function watch({ files, checkpointer, synced }: OpenDatabase): void {
  synced.ensureWhole()
  const before = health.filesFault()
  const fault = health.lookAtFiles(files, 'always')
  if (fault?.kind !== 'log') return
  synced.forget()
  checkpoint(() => checkpointer.truncate())
  if (before?.kind !== 'log') return
  lose(new Error(fault.message))
  throw new Error(fault.message)
}

const unavailable = (message: string): WireError => ({ error: 'unavailable', message })

/** About what a commit takes up on disk: each event changes a page or two beside its body. */
const bytesOf = (appends: readonly SentBatch[]): number =>
  appends.reduce((bytes, { batch: { events, bodyBytes } }) => bytes + bodyBytes + events.length * PAGE_BYTES, 0)

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

/** Finds out, without traffic, whether the store can write again. */
function probe(committer: Committer, checkpointer: Checkpointer, synced: SyncedLog): void {
  const isShortOfSpace = health.shortOfSpace() !== undefined
  if (!isShortOfSpace && !health.hasWriteFault()) return
  try {
    if (isShortOfSpace) {
      synced.forget()
      checkpointer.truncate()
    }
    if (health.hasWriteFault()) committer.probe()
    health.wrote()
  } catch (error) {
    if (isFatal(error)) throw error
    health.failedToWrite(error)
  }
}

async function close(opened: OpenDatabase): Promise<void> {
  try {
    await closeDatabase(opened)
  } catch (error) {
    send({ kind: 'log', level: 'warn', message: `the database was not closed cleanly: ${messageOf(error)}` })
  }
  send({ kind: 'closed' })
  port?.close()
}

/** Calls `run` after each interval. `refresh` starts the current interval again, with the length that `intervalMs` gives now. */
function repeat(run: () => void, intervalMs: () => number): { refresh(): void; stop(): void } {
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
