import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'

/** The most files that are read. */
const MAX_FILES = 2_000

const SOURCE_FILE = /\.[cm]?[jt]s$/
/** `from './file.ts'`, `import './file.ts'`, `import('./file.ts')`, `require('./file.js')`; also in a comment, which does no harm. */
const RELATIVE_IMPORT = /\b(?:from|import|require)\s*\(?\s*['"](\.{1,2}\/[^'"\n]+)['"]/g

/** The files outside of these directories that the modules in them import by a relative path, directly or through other files. */
export function importedFiles(directories: readonly string[]): readonly string[] {
  const waiting = directories.flatMap(sourcesIn)
  const seen = new Set(waiting)
  for (let file = waiting.pop(); file !== undefined && seen.size < MAX_FILES; file = waiting.pop()) {
    for (const imported of importsOf(file)) {
      if (seen.has(imported)) continue
      seen.add(imported)
      waiting.push(imported)
    }
  }
  return [...seen].filter((file) => !directories.some((directory) => file.startsWith(directory + sep)))
}

function sourcesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((name) => SOURCE_FILE.test(name))
      .map((name) => join(directory, name))
  } catch {
    return []
  }
}

/** A file that is not there counts, too: it may be made later. */
function importsOf(file: string): readonly string[] {
  if (!SOURCE_FILE.test(file)) return []
  try {
    const text = readFileSync(file, 'utf8')
    return [...text.matchAll(RELATIVE_IMPORT)].map(([, path = '']) => resolve(dirname(file), path))
  } catch {
    return []
  }
}
