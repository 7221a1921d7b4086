import { type Static, Type } from '@sinclair/typebox'
import { AUDIT_ACTORS, AUDIT_OUTCOMES, type RecordedAuditEntry } from '../../domain/audit.ts'
import { toIso } from '../../domain/clock.ts'
import { Nullable, OneOf, Time } from './schema.ts'

export const AuditEntrySchema = Type.Object({
  id: Type.Integer(),
  at: Time(),
  action: Type.String({ description: 'Noun and verb, such as task.cancel' }),
  target: Nullable(Type.String(), 'What was changed: a uid, a name, an id, or a filter in words'),
  count: Nullable(Type.Integer(), 'How many things were changed'),
  outcome: OneOf(AUDIT_OUTCOMES),
  status: Nullable(Type.Integer(), 'Of the answer; null if the change was not asked for over HTTP'),
  reason: Nullable(Type.String(), 'Why it failed; of a pause, why it was asked for'),
  actor: OneOf(AUDIT_ACTORS),
  token_place: Nullable(Type.Integer(), 'Which of several tokens of the variable, from 1; null if there is one'),
  claimed_name: Nullable(Type.String(), 'The name that the client gave itself; nothing proves it'),
  peer: Nullable(Type.String(), 'The address of the client'),
  agent: Nullable(Type.String()),
})
export type AuditEntryJson = Static<typeof AuditEntrySchema>

export const auditEntryJson = (entry: RecordedAuditEntry): AuditEntryJson => ({
  id: entry.id,
  at: toIso(entry.atMs),
  action: entry.action,
  target: entry.target ?? null,
  count: entry.count ?? null,
  outcome: entry.outcome,
  status: entry.status ?? null,
  reason: entry.reason ?? null,
  actor: entry.actor,
  token_place: entry.tokenPlace ?? null,
  claimed_name: entry.claimedName ?? null,
  peer: entry.peer ?? null,
  agent: entry.agent ?? null,
})
