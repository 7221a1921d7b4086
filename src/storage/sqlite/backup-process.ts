import { messageOf } from '../../domain/errors.ts'
import type { BackupProgress } from '../../domain/store-backup.ts'
import { type ReadBack, readBack } from './read-back.ts'
import { writeSnapshot } from './snapshot.ts'

/** The process that copies a store or reads a copy back. One call of SQLite may take minutes, and only a process can be ended meanwhile. */

export type ToBackupProcess =
  | { readonly kind: 'copy'; readonly path: string; readonly copy: string }
  | { readonly kind: 'read back'; readonly file: string; readonly acknowledgedKey: number }

export type FromBackupProcess =
  | { readonly kind: 'progress'; readonly progress: BackupProgress }
  | { readonly kind: 'copied' }
  | { readonly kind: 'read back'; readonly found: ReadBack }
  | { readonly kind: 'failed'; readonly message: string }

/** If the parent was killed, its channel is gone. */
const send = (message: FromBackupProcess): void => void process.send?.(message, () => {})

// The process ends with its parent, which closes the channel.
process.on('message', (message: ToBackupProcess) => {
  try {
    if (message.kind === 'copy') {
      writeSnapshot(message.path, message.copy)
      send({ kind: 'copied' })
    } else {
      const found = readBack(message.file, message.acknowledgedKey, (progress) => send({ kind: 'progress', progress }))
      send({ kind: 'read back', found })
    }
  } catch (error) {
    send({ kind: 'failed', message: messageOf(error) })
  }
})
