import { readFileSync } from 'node:fs'

/** The format of a write-ahead log. Source: https://www.sqlite.org/fileformat2.html#walformat */
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const MAGIC_LITTLE_ENDIAN = 0x377f0682
const MAGIC_BIG_ENDIAN = 0x377f0683

export interface LogFrames {
  /** Undefined: its header is damaged, or it is empty. */
  readonly salts: string | undefined
  /** Frames that SQLite can read: up to the first whose salts or checksum are not as they should be. */
  readonly validFrames: number
}

/** Reads a write-ahead log as SQLite does when it recovers. */
export function readLog(file: string): LogFrames {
  const log = readFileSync(file)
  if (log.length < HEADER_BYTES) return { salts: undefined, validFrames: 0 }
  const magic = log.readUInt32BE(0)
  if (magic !== MAGIC_LITTLE_ENDIAN && magic !== MAGIC_BIG_ENDIAN) return { salts: undefined, validFrames: 0 }
  const isLittleEndian = magic === MAGIC_LITTLE_ENDIAN
  let sum: Sum = checksum(log, 0, 24, [0, 0], isLittleEndian)
  if (!isSum(log, 24, sum)) return { salts: undefined, validFrames: 0 }
  const salts = log.toString('hex', 16, 24)
  const frameBytes = FRAME_HEADER_BYTES + log.readUInt32BE(8)
  let validFrames = 0
  for (let at = HEADER_BYTES; at + frameBytes <= log.length; at += frameBytes) {
    if (log.toString('hex', at + 8, at + 16) !== salts) break
    sum = checksum(log, at, at + 8, sum, isLittleEndian)
    sum = checksum(log, at + FRAME_HEADER_BYTES, at + frameBytes, sum, isLittleEndian)
    if (!isSum(log, at + 16, sum)) break
    validFrames++
  }
  return { salts, validFrames }
}

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
