import type { AuditEntry, AuditFilter, RecordedAuditEntry } from '../../domain/audit.ts'
import { type Condition, likeMatching, optional } from './list-pages.ts'

/** How both stores keep entries of the audit. */

export const AUDIT_COLUMNS = [
  'action',
  'target',
  'n',
  'outcome',
  'status',
  'reason',
  'actor',
  'token_place',
  'claimed_name',
  'peer',
  'agent',
] as const

export type AuditRow = Readonly<{
  key: number
  at: number
  action: string
  target: string | null
  n: number | null
  outcome: RecordedAuditEntry['outcome']
  status: number | null
  reason: string | null
  actor: RecordedAuditEntry['actor']
  token_place: number | null
  claimed_name: string | null
  peer: string | null
  agent: string | null
}>

/** The values of `AUDIT_COLUMNS`. */
export const auditValues = (entry: AuditEntry): readonly (string | number | null)[] => [
  entry.action,
  entry.target ?? null,
  entry.count ?? null,
  entry.outcome,
  entry.status ?? null,
  entry.reason ?? null,
  entry.actor,
  entry.tokenPlace ?? null,
  entry.claimedName ?? null,
  entry.peer ?? null,
  entry.agent ?? null,
]

export const auditEntryOf = (row: AuditRow): RecordedAuditEntry => ({
  id: row.key,
  atMs: row.at,
  action: row.action,
  ...(row.target !== null && { target: row.target }),
  ...(row.n !== null && { count: row.n }),
  outcome: row.outcome,
  ...(row.status !== null && { status: row.status }),
  ...(row.reason !== null && { reason: row.reason }),
  actor: row.actor,
  ...(row.token_place !== null && { tokenPlace: row.token_place }),
  ...(row.claimed_name !== null && { claimedName: row.claimed_name }),
  ...(row.peer !== null && { peer: row.peer }),
  ...(row.agent !== null && { agent: row.agent }),
})

/** The table is bounded (`MAX_AUDIT_ENTRIES`), so that a list may read all of it. `text`: how the database writes a text. */
export const auditConditions = (
  { actor, action, sinceMs, untilMs }: AuditFilter,
  beforeKey: number,
  text: (value: string) => string,
): readonly Condition<string | number>[] => [
  ['key < ?', beforeKey],
  ...(actor === undefined ? [] : [['(actor = ? OR claimed_name = ?)', text(actor), text(actor)] as const]),
  ...optional('action = ?', action === undefined || action.includes('*') ? undefined : text(action)),
  ...(action?.includes('*') ? [["action LIKE ? ESCAPE '\\'", text(likeMatching(action))] as const] : []),
  ...optional<string | number>('at >= ?', sinceMs),
  ...optional<string | number>('at < ?', untilMs),
]

export const auditPosition = ({ key }: Pick<AuditRow, 'key'>) => ({ atMs: 0, key })
