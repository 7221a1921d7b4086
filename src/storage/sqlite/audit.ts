import type { DatabaseSync } from 'node:sqlite'
import {
  type AuditEntry,
  type AuditFilter,
  type AuditStore,
  MAX_AUDIT_ENTRIES,
  type RecordedAuditEntry,
} from '../../domain/audit.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import {
  AUDIT_COLUMNS,
  type AuditRow,
  auditConditions,
  auditEntryOf,
  auditPosition,
  auditValues,
} from '../shared/audit.ts'
import { cutPage, startOf } from '../shared/list-pages.ts'
import { StatementCache } from './statement-cache.ts'
import type { StoreThreads } from './store-threads.ts'

export const prepareAudit = (db: DatabaseSync) => ({ recordAudit: prepareRecord(db), pruneAudit: preparePrune(db) })

function prepareRecord(db: DatabaseSync) {
  const insert = db.prepare(
    `INSERT INTO audit (at, ${AUDIT_COLUMNS.join(', ')}) VALUES (?, ${AUDIT_COLUMNS.map(() => '?').join(', ')})`,
  )
  return (entry: AuditEntry, nowMs: number): void => void insert.run(nowMs, ...auditValues(entry))
}

export function prepareListAudit(db: DatabaseSync) {
  const statements = new StatementCache(db)
  return (filter: AuditFilter, page: PageRequest): Page<RecordedAuditEntry> => {
    const conditions = auditConditions(filter, startOf('audit', page).key, (text) => text)
    const rows = statements.all('SELECT * FROM audit', conditions, 'ORDER BY key DESC LIMIT ?', [page.limit + 1])
    const { shown, nextCursor } = cutPage('audit', page, { rows: rows as AuditRow[], end: undefined }, auditPosition)
    return { items: shown.map(auditEntryOf), nextCursor }
  }
}

function preparePrune(db: DatabaseSync) {
  const remove = db.prepare(`
    DELETE FROM audit WHERE key IN (
      SELECT key FROM audit
      WHERE at < ?1 OR key <= (SELECT key FROM audit ORDER BY key DESC LIMIT 1 OFFSET ${MAX_AUDIT_ENTRIES})
      ORDER BY key LIMIT ?2
    )
  `)
  return (beforeMs: number, limit: number): number => Number(remove.run(beforeMs, limit).changes)
}

/** The port, in the main thread. */
export const createAudit = (threads: StoreThreads): AuditStore => ({
  record: async (entry) => threads.refusing() ?? threads.writes.call('recordAudit', entry, threads.clock()),
  list: async (filter, page) => threads.refusing() ?? threads.reads.call('audit', filter, page),
  prune: async (beforeMs, limit) => threads.refusing() ?? threads.writes.call('pruneAudit', beforeMs, limit),
})
