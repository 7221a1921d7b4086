import type { DatabaseSync } from 'node:sqlite'
import { prepareAudit } from './audit.ts'
import { prepareDrift } from './drift.ts'
import { prepareStats } from './stats.ts'

/** What the writer thread records about the service itself. */
export const prepareRecords = (db: DatabaseSync) => ({
  ...prepareStats(db),
  ...prepareDrift(db),
  ...prepareAudit(db),
})
