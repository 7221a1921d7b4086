import { type MessagePort, workerData } from 'node:worker_threads'
import { messageOf } from '../../domain/errors.ts'
import { openForCheckpoints } from './connection.ts'
import { extendedCode } from './errors.ts'

/** The thread that brings the write-ahead log into the database while commits go on. */

export interface CheckpointData {
  readonly path: string
  readonly port: MessagePort
}

export type ToCheckpointThread = 'start' | 'close'

/** What a start came to; `errcode` is SQLite's, if it was SQLite that failed. */
export type Checkpointed =
  | { readonly ok: true }
  | { readonly ok: false; readonly message: string; readonly errcode: number | undefined }

/** The first takes most of the log, the second what was committed meanwhile, so that little is left to the writer. */
const PASSES = 2

const { path, port } = workerData as CheckpointData
const db = openForCheckpoints(path)
const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
// It opens the files at the first look at them, not before.
db.prepare('SELECT 1 FROM sqlite_schema').get()
port.postMessage('opened')

port.on('message', (message: ToCheckpointThread) => {
  if (message === 'start') port.postMessage(bringOver())
  else {
    db.close()
    port.close()
  }
})

function bringOver(): Checkpointed {
  try {
    for (let pass = 0; pass < PASSES; pass++) passive.get()
    return { ok: true }
  } catch (error) {
    return { ok: false, message: messageOf(error), errcode: extendedCode(error) }
  }
}
