import { type MessagePort, workerData } from 'node:worker_threads'
import { messageOf } from '../../domain/errors.ts'
import { openForCheckpoints } from './connection.ts'
import { extendedCode } from './errors.ts'

/** The thread that copies the write-ahead log into the database while commits go on. */

export interface CheckpointData {
  readonly path: string
  readonly port: MessagePort
}

export type ToCheckpointThread = 'start' | 'close'

/** The result of a checkpoint. `errcode`: the result code of SQLite, if SQLite failed. */
export type CheckpointResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly message: string; readonly errcode: number | undefined }

/**
 * The first pass copies most of the log, the second the commits that were made meanwhile, so that little is left for the
 * writer.
 */
const PASSES = 2

const { path, port } = workerData as CheckpointData
const db = openForCheckpoints(path)
const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
// SQLite opens the files when it first reads them, not before.
db.prepare('SELECT 1 FROM sqlite_schema').get()
port.postMessage('opened')

port.on('message', (message: ToCheckpointThread) => {
  if (message === 'start') port.postMessage(checkpoint())
  else {
    db.close()
    port.close()
  }
})

function checkpoint(): CheckpointResult {
  try {
    for (let pass = 0; pass < PASSES; pass++) passive.get()
    return { ok: true }
  } catch (error) {
    return { ok: false, message: messageOf(error), errcode: extendedCode(error) }
  }
}
