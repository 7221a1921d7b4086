import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { StoreSize } from '../../domain/store-health.ts'

/** The database with its log, and the space that is left on their disk. */
export const prepareSize = (path: string) => (): StoreSize => {
  const { bavail, bsize } = statfsSync(dirname(path))
  const sizes = [path, `${path}-wal`].map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  return { bytes: sizes.reduce((sum, size) => sum + size, 0), freeBytes: bavail * bsize }
}
