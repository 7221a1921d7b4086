import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

const MODULE = /^(?!.*\.d\.[cm]?ts$).+\.m?[jt]s$/

/** The modules that stand in a directory, in order of name; what lies in folders below is theirs to import. Rejects where it cannot be read. */
export async function listModules(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory)
  return names
    .filter((name) => MODULE.test(name))
    .toSorted()
    .map((name) => join(directory, name))
}
