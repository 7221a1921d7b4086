import { type AuditEntry, type AuditStore, MAX_AUDIT_ENTRIES } from '../../domain/audit.ts'
import {
  AUDIT_COLUMNS,
  type AuditRow,
  auditConditions,
  auditEntryOf,
  auditPosition,
  auditValues,
} from '../shared/audit.ts'
import { cutPage, startOf } from '../shared/list-pages.ts'
import { type Connections, type Query, select } from './connections.ts'
import { escapeText } from './escape-text.ts'
import type { Operations } from './open-operations.ts'

const INSERT = {
  name: 'record-audit',
  text: `
    INSERT INTO audit (at, ${AUDIT_COLUMNS.join(', ')})
    VALUES (clock_1($1), ${AUDIT_COLUMNS.map((_, at) => `$${at + 2}`).join(', ')})
  `,
}
const PRUNE = {
  name: 'prune-audit',
  text: `
    WITH gone AS (
      DELETE FROM audit WHERE key IN (
        SELECT key FROM audit
        WHERE at < $1 OR key <= (SELECT key FROM audit ORDER BY key DESC LIMIT 1 OFFSET ${MAX_AUDIT_ENTRIES})
        ORDER BY key LIMIT $2 FOR UPDATE SKIP LOCKED
      )
      RETURNING key
    )
    SELECT count(*)::integer AS pruned FROM gone
  `,
}

/** Without a time, the database's is recorded. */
export async function recordAudit(query: Query, entry: AuditEntry, atMs: number | null): Promise<void> {
  const values = auditValues(entry).map((value) => (typeof value === 'string' ? escapeText(value) : value))
  await query(INSERT, [atMs, ...values])
}

export const createAuditStore = (
  connections: Connections,
  givenMs: () => number | null,
  operations: Operations,
): AuditStore => ({
  record: operations.while((entry) =>
    recordAudit((statement, values) => connections.run('work', statement, values), entry, givenMs()),
  ),

  list: operations.while(async (filter, page) => {
    const conditions = auditConditions(filter, startOf('audit', page).key, escapeText)
    const rows = await select<AuditRow>(connections, 'SELECT * FROM audit', conditions, 'ORDER BY key DESC LIMIT ?', [
      page.limit + 1,
    ])
    const { shown, nextCursor } = cutPage('audit', page, { rows, end: undefined }, auditPosition)
    return { items: shown.map(auditEntryOf), nextCursor }
  }),

  prune: operations.while(async (beforeMs, limit) => {
    const [row] = await connections.run<{ pruned: number }>('work', PRUNE, [beforeMs, limit])
    return row?.pruned ?? 0
  }),
})
