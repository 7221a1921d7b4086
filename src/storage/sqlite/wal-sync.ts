import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { toIso } from '../../domain/clock.ts'
import { OWNER_ONLY } from './database-directory.ts'
import { unlessDamaged } from './errors.ts'

/**
 * How far the write-ahead log was fsynced: the number of frames of the log with these salts, and the greatest key of an event
 * at that time.
 */
interface SyncRecord {
  readonly salts: string
  readonly frames: number
  readonly lastKey: number
  readonly atMs: number
}

/** Each record is written over the one before, within one sector of the disk. */
const RECORD_BYTES = 256
/** Where the salts are in the log's header. */
const SALTS_AT = 16
const SALTS_END = 24

const recordOf = (path: string): string => `${path}-synced`
const logOf = (path: string): string => `${path}-wal`

/** The log lacks frames that were written to it: it must no longer be written or checkpointed. */
export class LogCut extends Error {
  override readonly name = 'LogCut'
}

/**
 * Records beside the database, after each commit that was fsynced, how much of the log is safe. SQLite takes the first damaged
 * frame of its log for the end, and silently drops the frames after it; this record shows that. The record itself is fsynced
 * only when it is withdrawn (`forget`). After a power cut it may be some seconds old, and then claims less than was fsynced,
 * never more.
 */
export class SyncedLog {
  readonly #record: number
  readonly #log: number
  readonly #measure
  readonly #greatestKey
  readonly #path: string
  readonly #frameBytes: number
  readonly #header = Buffer.alloc(SALTS_END)
  /** The frames in the log when it was last measured. */
  #frames = 0
  #appendedKey: number
  /** The greatest key of an event; undefined: it has to be looked up. */
  #lastKey: number | undefined

  /** To be constructed once SQLite has opened its log. `appendedKey`: the key of the event that was appended last. */
  constructor(db: DatabaseSync, path: string, appendedKey: number) {
    this.#path = path
    this.#frameBytes = Number(db.prepare('PRAGMA page_size').get()?.page_size) + FRAME_HEADER_BYTES
    this.#appendedKey = appendedKey
    this.#record = openSync(recordOf(path), existsSync(recordOf(path)) ? 'r+' : 'w+', OWNER_ONLY)
    this.#log = openSync(logOf(path), 'r')
    // NOOP (SQLite 3.51) only measures the log.
    this.#measure = db.prepare('PRAGMA wal_checkpoint(NOOP)')
    this.#greatestKey = db.prepare('SELECT max(key) AS key FROM event')
  }

  /** Records that all commits are fsynced, up to the event that was appended last. Throws `LogCut`. */
  note(atMs: number, appendedKey: number): void {
    this.#frames = this.#measured()
    readSync(this.#log, this.#header, 0, SALTS_END, 0)
    if (this.#frames > 0 && !isLogHeader(this.#header)) throw this.#cut()
    if (appendedKey > this.#appendedKey) this.#lastKey = appendedKey
    this.#appendedKey = appendedKey
    // If the page is damaged, the key is unknown and recorded as 0.
    this.#lastKey ??= Number(unlessDamaged(() => this.#greatestKey.get())?.key ?? 0)
    const salts = this.#header.toString('hex', SALTS_AT)
    this.#write({ salts, frames: this.#frames, lastKey: this.#lastKey, atMs })
  }

  /**
   * Throws `LogCut` if the log is shorter than what was written to it. SQLite would not notice: it would append behind the
   * hole, bring the hole into the database, and take it for the end of the log after a restart. To be called before each
   * commit.
   */
  ensureWhole(): void {
    if (this.#isWhole()) return
    // SQLite may have started the log over.
    this.#frames = this.#measured()
    if (!this.#isWhole()) throw this.#cut()
  }

  /** Withdraws the record, because the log is about to be cut, or its newest events are about to be deleted. */
  forget(): void {
    this.#lastKey = undefined
    this.#write({ salts: '', frames: 0, lastKey: 0, atMs: 0 })
    fsyncSync(this.#record)
  }

  close(): void {
    closeSync(this.#record)
    closeSync(this.#log)
  }

  #measured = (): number => Number(this.#measure.get()?.log)

  #isWhole = (): boolean =>
    this.#frames <= 0 || fstatSync(this.#log).size >= HEADER_BYTES + this.#frames * this.#frameBytes

  #cut = (): LogCut => new LogCut(`${logOf(this.#path)} was cut, or written over, while it was in use`)

  #write(position: SyncRecord): void {
    const text = JSON.stringify(position).padEnd(RECORD_BYTES - 1)
    writeSync(this.#record, `${text}\n`, 0)
  }
}

/** What an earlier process left, read before SQLite opens the database. */
interface LeftBehind {
  readonly position: SyncRecord
  /** The copy of the damaged log, made before SQLite writes over it. */
  readonly copy: string | undefined
  readonly damage: string | undefined
}

/** Reads the log that an earlier process left, and keeps a copy of it if fsynced frames cannot be read. */
export function examineLog(path: string, nowMs: number): LeftBehind | undefined {
  const position = readPosition(path)
  if (position === undefined) return undefined
  // A log that is empty or gone was normally copied into the database first; if not, events are missing, and `lossOf` reports
  // that.
  const log = statSync(logOf(path), { throwIfNoEntry: false })?.size ? readLog(logOf(path)) : undefined
  // A log with other salts is newer: SQLite started it after all of the earlier log was copied into the database.
  const isOther = log !== undefined && log.salts !== undefined && log.salts !== position.salts
  if (log === undefined || isOther || log.validFrames >= position.frames)
    return { position, copy: undefined, damage: undefined }
  const copy = `${logOf(path)}.damaged-${toIso(nowMs).replaceAll(/[:.]/g, '-')}`
  copyFileSync(logOf(path), copy)
  const behind = position.frames - log.validFrames
  const damage = `the write-ahead log is damaged at page ${log.validFrames + 1} of ${position.frames}: SQLite drops the ${behind} from there on`
  return { position, copy, damage }
}

/** The warning for an operator, once the database is open, if anything is missing. */
export function lossOf(db: DatabaseSync, left: LeftBehind | undefined): string | undefined {
  if (left === undefined) return undefined
  const { position, copy, damage } = left
  const last = unlessDamaged(() => db.prepare('SELECT max(key) AS key FROM event').get())
  const missing = last === undefined ? 0 : position.lastKey - Number(last.key ?? 0)
  if (missing <= 0 && damage === undefined) return undefined
  return [
    damage ?? 'a part of the write-ahead log is gone',
    missing > 0
      ? `${missing} acknowledged events are missing, the last of them of ${toIso(position.atMs)}: have their senders send them again`
      : 'no event is missing, but the outcomes of some may be',
    ...(copy === undefined ? [] : [`the damaged log is kept as ${copy}`]),
  ].join('; ')
}

/** The greatest key of an event that is known to be on disk; 0: none is. */
export const syncedKey = (path: string): number => readPosition(path)?.lastKey ?? 0

function readPosition(path: string): SyncRecord | undefined {
  try {
    const position = JSON.parse(readFileSync(recordOf(path), 'utf8')) as SyncRecord
    return position.frames >= 0 && position.lastKey >= 0 ? position : undefined
  } catch {
    return undefined
  }
}

/** The format of a write-ahead log. Source: https://www.sqlite.org/fileformat2.html#walformat */
const HEADER_BYTES = 32
export const FRAME_HEADER_BYTES = 24
const MAGIC_LITTLE_ENDIAN = 0x377f0682
const MAGIC_BIG_ENDIAN = 0x377f0683
/** Frames that are read at once: a log may be longer than what one buffer can hold. */
const MAX_READ_FRAMES = 128

interface LogFrames {
  /** Undefined: its header is damaged, or it is empty. */
  readonly salts: string | undefined
  /** The number of frames that SQLite can read: those before the first with wrong salts or a wrong checksum. */
  readonly validFrames: number
}

/** Reads a write-ahead log as SQLite does when it recovers. */
function readLog(file: string): LogFrames {
  const descriptor = openSync(file, 'r')
  try {
    return framesIn((buffer, at) => readSync(descriptor, buffer, 0, buffer.length, at))
  } finally {
    closeSync(descriptor)
  }
}

/** Whether these are the first bytes of a log; four are enough. */
function isLogHeader(header: Buffer): boolean {
  const magic = header.readUInt32BE(0)
  return magic === MAGIC_LITTLE_ENDIAN || magic === MAGIC_BIG_ENDIAN
}

/** `read` fills a buffer from a position in the log, as far as there are bytes, and returns how many it has read. */
function framesIn(read: (buffer: Buffer, at: number) => number): LogFrames {
  const header = Buffer.alloc(HEADER_BYTES)
  if (read(header, 0) < HEADER_BYTES) return NO_LOG
  if (!isLogHeader(header)) return NO_LOG
  const isLittleEndian = header.readUInt32BE(0) === MAGIC_LITTLE_ENDIAN
  let sum: LogChecksum = checksum(header, 0, 24, [0, 0], isLittleEndian)
  if (!isSum(header, 24, sum)) return NO_LOG
  const salts = header.toString('hex', 16, 24)
  const frameBytes = FRAME_HEADER_BYTES + header.readUInt32BE(8)
  const frames = Buffer.alloc(MAX_READ_FRAMES * frameBytes)
  for (let validFrames = 0; ; ) {
    const length = read(frames, HEADER_BYTES + validFrames * frameBytes)
    let at = 0
    for (; at + frameBytes <= length; at += frameBytes) {
      if (frames.toString('hex', at + 8, at + 16) !== salts) break
      sum = checksum(frames, at, at + 8, sum, isLittleEndian)
      sum = checksum(frames, at + FRAME_HEADER_BYTES, at + frameBytes, sum, isLittleEndian)
      if (!isSum(frames, at + 16, sum)) break
      validFrames++
    }
    if (at < frames.length) return { salts, validFrames }
  }
}

const NO_LOG: LogFrames = { salts: undefined, validFrames: 0 }

type LogChecksum = readonly [number, number]

const isSum = (log: Buffer, at: number, [first, second]: LogChecksum): boolean =>
  log.readUInt32BE(at) === first && log.readUInt32BE(at + 4) === second

/** Sums 32-bit words in the byte order that the magic number names; the number of words is even. */
function checksum(
  log: Buffer,
  from: number,
  to: number,
  [first, second]: LogChecksum,
  isLittleEndian: boolean,
): LogChecksum {
  const view = new DataView(log.buffer, log.byteOffset + from, to - from)
  let [a, b] = [first, second]
  for (let at = 0; at < view.byteLength; at += 8) {
    a = (a + view.getUint32(at, isLittleEndian) + b) >>> 0
    b = (b + view.getUint32(at + 4, isLittleEndian) + a) >>> 0
  }
  return [a, b]
}
