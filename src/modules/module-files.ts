import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

const MODULE = /^(?!.*\.d\.[cm]?ts$).+\.m?[jt]s$/

/** The modules in a directory, by name. Files in its folders are for the modules to import. Rejects if the directory cannot be read. */
export async function listModules(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory)
  return names
    .filter((name) => MODULE.test(name))
    .toSorted()
    .map((name) => join(directory, name))
}
