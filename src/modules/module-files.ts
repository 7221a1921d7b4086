import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** `*.ts`, `*.js`, `*.mts` and `*.mjs`; but no tests, no declarations, and no names that begin with `_` or `.`. */
const MODULE = /^(?![._])(?!.*\.(?:test|spec|d)\.m?[jt]s$).+\.m?[jt]s$/

/**
 * The modules in a directory, in order of name. Everything else may stand there too: helpers in folders or under names that begin
 * with `_`, and tests. Rejects if the directory cannot be read.
 */
export async function listModules(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  return entries
    .filter((entry) => MODULE.test(entry.name) && !entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
    .map((name) => join(directory, name))
}
