import { closeSync, existsSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newUid } from '../../domain/names.ts'

/**
 * How far a handler process has come with its jobs: 24 bytes in a file without a name that both sides have open. It holds the
 * job that the process started last, and the jobs that the service has revoked. A blocked process answers nothing, but the
 * service can read this file, revoke the jobs that have not started, and run them in another process.
 *
 * Each side writes its own value before it reads the value of the other side. So the process never runs a job that the service
 * runs elsewhere. It can happen that each side leaves a job to the other: then the process reports the job as `refused`, and
 * the service runs it elsewhere. The file is in memory where the system has `/dev/shm`.
 */
const MEMORY_DIRECTORY = '/dev/shm'
const STARTED_AT = 0
const REVOKED_FROM_AT = 8
const REVOKED_TO_AT = 16
const VALUE_BYTES = 8
const NEVER = Number.MAX_SAFE_INTEGER

/** Null if the file cannot be made. Then every job that was sent counts as started. */
export function createProgressFile(): number | null {
  const path = join(existsSync(MEMORY_DIRECTORY) ? MEMORY_DIRECTORY : tmpdir(), `holdfast-${newUid()}`)
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

/**
 * The service's side. Users' code in the process may have written to the file, so the service uses its values only where a
 * wrong value does no harm.
 */
export class JobProgress {
  readonly #fd: number | null
  /** Jobs with these keys are revoked: from the first, up to but not including the second. */
  #from = 0
  #to = 0

  constructor(fd: number | null) {
    this.#fd = fd
  }

  /**
   * The key of the job that the process started last; if the file cannot be read, a key above those of all jobs that were sent.
   */
  started(): number {
    return this.#fd === null ? NEVER : read(this.#fd, STARTED_AT, NEVER)
  }

  /**
   * Revokes the jobs that have not started, and all jobs that are sent later. Returns the key of the job that the process
   * started last.
   */
  revoke(): number {
    const before = this.started()
    if (this.#fd === null || before === NEVER) return before
    // Jobs that were revoked earlier stay revoked until the process has passed them.
    if (before >= this.#to - 1) this.#from = before + 1
    this.#to = NEVER
    return this.#writeRange() ? this.started() : NEVER
  }

  /** Lets the process start jobs again, from this key on. */
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

/**
 * The process's side: marks a job as started and returns whether the process may run it. Without a file it may run every job.
 */
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
