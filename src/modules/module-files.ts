import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

const MODULE = /^(?!.*\.d\.[cm]?ts$).+\.m?[jt]s$/

/**
 * The modules in a directory, in order of name. Modules in its subdirectories are left out: other modules import them. Rejects
 * if the directory cannot be read.
 */
export async function listModules(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory)
  return names
    .filter((name) => MODULE.test(name))
    .toSorted()
    .map((name) => join(directory, name))
}
