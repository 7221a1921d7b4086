import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The SHA-256 of each module of `src/handlers` as it is shipped. `src/handlers` belongs to the user: tests leave modules alone
 * that the user has added or changed. A change to a shipped module changes its checksum here.
 */
const CHECKSUMS: Readonly<Record<string, string>> = {
  'batches.ts': '9371295cb2d415d9bf43e1185cc589ff901e3169dbc85b6f33c8cc12f24dba45',
  'completions.ts': '746810eb11410dcb8bf4a4c8759ff70ac1ddda56ab203e526e8420c8591ab453',
  'jobs.ts': 'f4bb7a43f78ec9dee4f1e1b3befacf60b80f4e8b20639925c04db021fde26bcf',
  'models.ts': 'e36488c4e6a0c75d69c78ca3899b3bb39aa878616e2b924688194286b40be8d2',
  'tasks.ts': 'eeab7e87cee4b35d56ae3f913a5a54c3ce27e8a4d284c19cb42e7f706fed10c5',
  'usage.ts': '0c7d7aef20309c0cbdda4e111beb5dd06befd157a1e14f222cdcd078afc6dc2e',
}

export const handlersDirectory = join(import.meta.dirname, '../../src/handlers')

/** File names of the modules in `src/handlers` that are as they are shipped. */
export const shippedHandlers: ReadonlySet<string> = new Set(
  Object.keys(CHECKSUMS).filter((name) => checksumOf(join(handlersDirectory, name)) === CHECKSUMS[name]),
)

function checksumOf(file: string): string | undefined {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  } catch {
    return undefined // The user has removed it.
  }
}
