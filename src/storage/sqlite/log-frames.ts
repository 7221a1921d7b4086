import { closeSync, openSync, readSync } from 'node:fs'

/** The format of a write-ahead log. Source: https://www.sqlite.org/fileformat2.html#walformat */
export const HEADER_BYTES = 32
export const FRAME_HEADER_BYTES = 24
const MAGIC_LITTLE_ENDIAN = 0x377f0682
const MAGIC_BIG_ENDIAN = 0x377f0683
/** Read at once: a log may be longer than what one buffer can hold. */
const MAX_READ_FRAMES = 128

export interface LogFrames {
  /** Undefined: its header is damaged, or it is empty. */
  readonly salts: string | undefined
  /** Frames that SQLite can read: up to the first whose salts or checksum are not as they should be. */
  readonly validFrames: number
}

/** Reads a write-ahead log as SQLite does when it recovers. */
export function readLog(file: string): LogFrames {
  const descriptor = openSync(file, 'r')
  try {
    return framesIn((buffer, at) => readSync(descriptor, buffer, 0, buffer.length, at))
  } finally {
    closeSync(descriptor)
  }
}

/** Whether these are the first bytes of a log; four are enough. */
export function isLogHeader(header: Buffer): boolean {
  const magic = header.readUInt32BE(0)
  return magic === MAGIC_LITTLE_ENDIAN || magic === MAGIC_BIG_ENDIAN
}

/** `read` fills a buffer from a place in the log, as far as there is something, and gives how many bytes that was. */
function framesIn(read: (buffer: Buffer, at: number) => number): LogFrames {
  const header = Buffer.alloc(HEADER_BYTES)
  if (read(header, 0) < HEADER_BYTES) return NO_LOG
  if (!isLogHeader(header)) return NO_LOG
  const isLittleEndian = header.readUInt32BE(0) === MAGIC_LITTLE_ENDIAN
  let sum: Sum = checksum(header, 0, 24, [0, 0], isLittleEndian)
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

type Sum = readonly [number, number]

const isSum = (log: Buffer, at: number, [first, second]: Sum): boolean =>
  log.readUInt32BE(at) === first && log.readUInt32BE(at + 4) === second

/** Over 32-bit words in the byte order that the magic number names; their number is even. */
function checksum(log: Buffer, from: number, to: number, [first, second]: Sum, isLittleEndian: boolean): Sum {
  const view = new DataView(log.buffer, log.byteOffset + from, to - from)
  let [a, b] = [first, second]
  for (let at = 0; at < view.byteLength; at += 8) {
    a = (a + view.getUint32(at, isLittleEndian) + b) >>> 0
    b = (b + view.getUint32(at + 4, isLittleEndian) + a) >>> 0
  }
  return [a, b]
}
