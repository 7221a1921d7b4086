import { closeSync, existsSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newUid } from '../domain/names.ts'

/**
 * How far a handler process has come with its jobs, in 24 bytes of a file without a name that both sides have open: what it
 * started last, and which of its jobs were taken back. A process that is blocked answers nothing, but this can be read; and
 * what it has not started can be taken back for good, to run elsewhere.
 *
 * Both sides write first and then read what the other wrote, so that of one job they never both believe that it is theirs. Where
 * both believe that it is the other's, the process says so (`refused`). The file lies in memory where the system has a place
 * for that.
 */
const MEMORY = '/dev/shm'
const STARTED_AT = 0
const REVOKED_FROM_AT = 8
const REVOKED_TO_AT = 16
const VALUE_BYTES = 8
const NEVER = Number.MAX_SAFE_INTEGER

/** Null where no such file can be made: then every job that was sent counts as started. */
export function openProgress(): number | null {
  const path = join(existsSync(MEMORY) ? MEMORY : tmpdir(), `holdfast-${newUid()}`)
  let fd: number | undefined
  try {
    fd = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
    write(fd, STARTED_AT, -1)
    write(fd, REVOKED_FROM_AT, 0)
    write(fd, REVOKED_TO_AT, 0)
    return fd
  } catch {
    if (fd !== undefined) closeSync(fd)
    return null
  }
}

/** Of the service. What is in the file may have been written by user code, and is believed no further than it can do harm. */
export class Progress {
  readonly #fd: number | null
  /** The jobs that are taken back: from the first on, up to the second. */
  #from = 0
  #to = 0

  constructor(fd: number | null) {
    this.#fd = fd
  }

  /** The key of the job that was started last; all that were sent, where that cannot be told. */
  started(): number {
    return this.#fd === null ? NEVER : read(this.#fd, STARTED_AT, NEVER)
  }

  /** Takes back what is not started, and all that is yet to be sent. Gives the last key that was started. */
  revoke(): number {
    const before = this.started()
    if (this.#fd === null || before === NEVER) return before
    // What was taken back earlier stays so until the process has come past it.
    if (before >= this.#to - 1) this.#from = before + 1
    this.#to = NEVER
    return this.#writeRange() ? this.started() : NEVER
  }

  /** Jobs from this key on may be started again. */
  restore(from: number): void {
    if (this.#to !== NEVER) return
    this.#to = from
    this.#writeRange()
  }

  #writeRange(): boolean {
    if (this.#fd === null) return false
    try {
      write(this.#fd, REVOKED_FROM_AT, this.#from)
      write(this.#fd, REVOKED_TO_AT, this.#to)
      return true
    } catch {
      return false
    }
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd)
  }
}

/** Of the process: whether a job may be started, which from then on counts as started. Where there is no file, it may. */
export function mayStart(fd: number, key: number): boolean {
  try {
    write(fd, STARTED_AT, key)
  } catch {
    return true
  }
  return key < read(fd, REVOKED_FROM_AT, NEVER) || key >= read(fd, REVOKED_TO_AT, 0)
}

const value = Buffer.alloc(VALUE_BYTES)

function write(fd: number, at: number, key: number): void {
  value.writeDoubleLE(key)
  writeSync(fd, value, 0, VALUE_BYTES, at)
}

function read(fd: number, at: number, fallback: number): number {
  try {
    if (readSync(fd, value, 0, VALUE_BYTES, at) < VALUE_BYTES) return fallback
    const key = value.readDoubleLE()
    return Number.isSafeInteger(key) ? key : fallback
  } catch {
    return fallback
  }
}
