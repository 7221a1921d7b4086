import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConfigurationError, messageOf } from '../../domain/errors.ts'
import { OWNER_ONLY } from '../sqlite/database-directory.ts'

/**
 * The file of a backup. As long as it is not whole, it is beside its place, under a name that begins with a dot and ends in `.partial`;
 * only its owner may read it. Throws `ConfigurationError` if a file has its name already, or it cannot be made.
 */
export class BackupFile {
  readonly path: string
  readonly partial: string
  readonly #directory: string

  constructor(file: string) {
    try {
      this.#directory = realpathSync(dirname(file))
      this.path = join(this.#directory, basename(file))
      this.#refuseExisting()
      this.partial = join(this.#directory, `.${basename(file)}.${randomBytes(4).toString('hex')}.partial`)
      closeSync(openSync(this.partial, 'wx', OWNER_ONLY))
    } catch (error) {
      throw error instanceof ConfigurationError
        ? error
        : new ConfigurationError([`The backup ${file} cannot be written: ${messageOf(error)}`])
    }
  }

  /** Throws `ConfigurationError` if the disk has not so many bytes free. */
  refuseIfShort(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.#directory)
    if (bavail * bsize < bytes)
      throw new ConfigurationError([
        `The backup needs about ${bytes} bytes, and the disk of ${this.path} has ${bavail * bsize} free.`,
      ])
  }

  size = (): number => statSync(this.partial, { throwIfNoEntry: false })?.size ?? 0

  /** Makes what was written safe on disk. */
  sync(): void {
    fsync(this.partial)
  }

  /** Gives the file its name, durably, unless another file has it by now. */
  publish(): void {
    this.#refuseExisting()
    try {
      // Unlike a rename, a link never replaces a file that was made meanwhile.
      linkSync(this.partial, this.path)
      rmSync(this.partial)
    } catch (error) {
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw new ConfigurationError([`The backup ${this.path} cannot get its name: ${messageOf(error)}`])
      renameSync(this.partial, this.path)
    }
    fsync(this.#directory)
  }

  /** Removes what was written. */
  discard(): void {
    for (const ending of ['', '-journal', '-wal', '-shm']) rmSync(`${this.partial}${ending}`, { force: true })
  }

  #refuseExisting(): void {
    if (existsSync(this.path))
      throw new ConfigurationError([`${this.path} exists: a backup never replaces a file. Choose another name.`])
  }
}

function fsync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
