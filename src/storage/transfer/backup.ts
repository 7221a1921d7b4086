import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { fileURLToPath } from 'node:url'
import { ConfigurationError, HoldfastError } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { BackupOutcome, BackupRequest } from '../../domain/store-backup.ts'
import { databaseFile, databaseUrlFaults, namesPostgres } from '../shared/database-url.ts'
import type { FromBackupProcess, ToBackupProcess } from '../sqlite/backup-process.ts'
import { openSnapshotSource } from '../sqlite/snapshot.ts'
import { BackupFile } from './backup-file.ts'

/** How often the size of a growing copy is reported. */
const LOOK_INTERVAL_MS = 200

interface BackupControl {
  /** Ends the backup at once. */
  readonly signal: AbortSignal
  readonly onLog: StoreLog
}

/** As `MakeBackup` says. */
export async function backUp(request: BackupRequest, { signal, onLog }: BackupControl): Promise<BackupOutcome> {
  const { databaseUrl, onProgress } = request
  const faults = databaseUrlFaults(databaseUrl)
  if (faults.length > 0) throw new ConfigurationError(faults)
  const startedMs = performance.now()
  const file = new BackupFile(request.file)
  const helper = new BackupProcess(signal)
  try {
    const acknowledgedKey = namesPostgres(databaseUrl)
      ? await copyFromPostgres(request, file, { signal, onLog })
      : await copyFromFile(request, file, helper)
    file.sync()
    const read = await helper.ask({ kind: 'read back', file: file.partial, acknowledgedKey }, (message) => {
      if (message.kind === 'progress') onProgress(message.progress)
    })
    if (read.kind !== 'read back') throw new Error('the copy was not read back')
    const { fault, rows, lastEventAtMs } = read.found
    if (fault !== undefined)
      throw new HoldfastError('conflict', `The copy is no good backup, and was removed: ${fault}.`)
    const bytes = file.size()
    signal.throwIfAborted()
    file.publish()
    const durationMs = performance.now() - startedMs
    return { outcome: 'done', backup: { file: file.path, bytes, rows, lastEventAtMs, durationMs } }
  } catch (error) {
    if (signal.aborted) return { outcome: 'stopped' }
    throw error
  } finally {
    await helper.end()
    file.discard()
  }
}

/** Resolves with the key up to which events were acknowledged before. */
async function copyFromFile(
  { databaseUrl, onProgress }: BackupRequest,
  file: BackupFile,
  helper: BackupProcess,
): Promise<number> {
  const { path, bytes, acknowledgedKey } = openSnapshotSource(databaseFile(databaseUrl) ?? '')
  if (file.path.startsWith(`${path}-`))
    throw new ConfigurationError([`${file.path} is a name of the database's own files. Choose another name.`])
  file.refuseIfShort(bytes)
  const looking = setInterval(() => {
    const done = file.size()
    onProgress({ step: 'copying', unit: 'bytes', what: 'the database', done, total: Math.max(bytes, done) })
  }, LOOK_INTERVAL_MS)
  try {
    await helper.ask({ kind: 'copy', path, copy: file.partial })
  } finally {
    clearInterval(looking)
  }
  return acknowledgedKey
}

/** Imported only here: the embedded store does not need PostgreSQL's driver. */
async function copyFromPostgres(request: BackupRequest, file: BackupFile, control: BackupControl): Promise<number> {
  const { copyPostgres } = await import('./copy-postgres.ts')
  return copyPostgres(request, file.partial, control)
}

/** Starts the process at the first question. */
class BackupProcess {
  readonly #signal: AbortSignal
  #child: ChildProcess | undefined

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  async ask(
    question: ToBackupProcess,
    onMessage: (message: FromBackupProcess) => void = () => {},
  ): Promise<FromBackupProcess> {
    this.#signal.throwIfAborted()
    const child = (this.#child ??= start())
    const kill = (): void => void child.kill('SIGKILL')
    this.#signal.addEventListener('abort', kill, { once: true })
    const answer = Promise.withResolvers<FromBackupProcess>()
    const receive = (message: FromBackupProcess): void => {
      if (message.kind === 'failed') answer.reject(new ConfigurationError([message.message]))
      else if (message.kind === 'progress') onMessage(message)
      else answer.resolve(message)
    }
    const ended = (): void => answer.reject(new Error('the process of the backup has ended'))
    child.on('message', receive).once('exit', ended).once('error', answer.reject)
    child.send(question)
    try {
      return await answer.promise
    } finally {
      child.off('message', receive).off('exit', ended).off('error', answer.reject)
      this.#signal.removeEventListener('abort', kill)
    }
  }

  async end(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
}

function start(): ChildProcess {
  const cache = getCompileCacheDir()
  return fork(fileURLToPath(new URL('../sqlite/backup-process.ts', import.meta.url)), [], {
    execArgv: [],
    env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // A signal of the terminal is for the command, which ends this process.
    detached: true,
  })
}
