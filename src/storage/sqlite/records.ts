import type { DatabaseSync } from 'node:sqlite'
import { preparePruneAudit, prepareRecordAudit } from './audit.ts'
import { prepareDrift } from './drift.ts'
import { prepareStats } from './stats.ts'

/** What the writer thread records about the service itself. */
export const prepareRecords = (db: DatabaseSync) => ({
  ...prepareStats(db),
  ...prepareDrift(db),
  recordAudit: prepareRecordAudit(db),
  pruneAudit: preparePruneAudit(db),
})
