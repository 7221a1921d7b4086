import { closeSync, openSync, readSync, writeSync } from 'node:fs'

const PAGE_BYTES = 8_192

/** Of an index as of a table: the page with number 1. Its checksum is wrong then, unless it is zeroed. */
export function damageFirstLeaf(path: string, isZeroed = false): void {
  const file = openSync(path, 'r+')
  const at = PAGE_BYTES + PAGE_BYTES / 2
  const bytes = Buffer.alloc(16)
  readSync(file, bytes, 0, bytes.length, at)
  writeSync(
    file,
    bytes.map((byte) => byte ^ 0xff),
    0,
    bytes.length,
    at,
  )
  if (isZeroed) writeSync(file, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, PAGE_BYTES)
  closeSync(file)
}
