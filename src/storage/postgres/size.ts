import type { StoreSize } from '../../domain/store-health.ts'
import type { Connections } from './connections.ts'

/** To measure it, the server looks at every file of the database: the last size is given again for this long. */
const REMEMBERED_MS = 60_000
const SIZE = { name: 'size', text: 'SELECT pg_database_size(current_database()) AS bytes' }

/** The size of the whole database. The space that is left on the server's disk is not known. */
export function createSize(connections: Connections) {
  let known: { readonly atMs: number; readonly size: Promise<StoreSize> } | undefined

  async function measure(): Promise<StoreSize> {
    const [row] = await connections.run<{ bytes: number }>('read', SIZE)
    return { bytes: row?.bytes ?? 0, freeBytes: undefined }
  }

  return async (): Promise<StoreSize> => {
    const nowMs = performance.now()
    if (known === undefined || nowMs - known.atMs > REMEMBERED_MS) known = { atMs: nowMs, size: measure() }
    try {
      return await known.size
    } catch (error) {
      known = undefined
      throw error
    }
  }
}
