import { closeSync, openSync, writeSync } from 'node:fs'
import { withDatabase } from './database-file.ts'

interface DatabasePage {
  readonly offset: number
  readonly bytes: number
}

/** The leaf pages of a table or an index of a closed store's database, in order of their keys. */
function leavesOf(path: string, name: string): readonly DatabasePage[] {
  return withDatabase(path, (db) =>
    db
      .prepare("SELECT pgoffset, pgsize FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path")
      .all(name)
      .map(({ pgoffset, pgsize }) => ({ offset: Number(pgoffset), bytes: Number(pgsize) })),
  )
}

/** Zeroes a leaf page of a table or an index; `at` counts leaves in order of their keys, from the end if it is negative. */
export function zeroLeaf(path: string, name: string, at: number): void {
  const leaf = leavesOf(path, name).at(at)
  if (leaf === undefined) throw new Error(`${name} has no such leaf`)
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(leaf.bytes), 0, leaf.bytes, leaf.offset)
  closeSync(file)
}
