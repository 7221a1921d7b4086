import type { Page, PageRequest } from './page.ts'

/**
 * Who asked for a change: the holder of a token; any program of this machine (`loopback`: no token is configured); a signal to the
 * process; a file that changed; a command that opens the store itself.
 */
export const AUDIT_ACTORS = ['OPS_TOKEN', 'OPS_READ_TOKEN', 'loopback', 'signal', 'file', 'command'] as const
export type AuditActor = (typeof AUDIT_ACTORS)[number]

/** `failed`: the service did not do it, or could not tell whether a provider did. */
export const AUDIT_OUTCOMES = ['done', 'failed'] as const

/** What was asked for, by whom, and what came of it. Holds no secret, and nothing of a body but names and the reason of a pause. */
export interface AuditEntry {
  /** Noun and verb, such as `task.cancel`. */
  readonly action: string
  /** What the change was made to: a uid, a name, an id. */
  readonly target?: string
  /** How many things were changed. Absent: the action does not count. */
  readonly count?: number
  readonly outcome: (typeof AUDIT_OUTCOMES)[number]
  /** Of the answer, if the change was asked for over HTTP. */
  readonly status?: number
  /** Why it failed: the end of a problem's type, or a short sentence. Of a pause that was done: why it was asked for. */
  readonly reason?: string
  readonly actor: AuditActor
  /** The place of the token among those of its variable, from 1. Absent: there is one. */
  readonly tokenPlace?: number
  /** The name that the client gives itself. The token proves nothing of it. */
  readonly claimedName?: string
  readonly peer?: string
  readonly agent?: string
}

export interface RecordedAuditEntry extends AuditEntry {
  readonly id: number
  readonly atMs: number
}

export interface AuditFilter {
  /** An actor, or a name that clients claimed. */
  readonly actor?: string
  /** The action, or a pattern of actions with `*`. */
  readonly action?: string
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** The changes that persons and programs made through Holdfast. */
export interface AuditStore {
  /** Resolves after the commit, which is as durable as that of an append. */
  record(entry: AuditEntry): Promise<void>

  /** The entry that was recorded last comes first. Rejects with `invalid_request` for a cursor of another list. */
  list(filter: AuditFilter, page: PageRequest): Promise<Page<RecordedAuditEntry>>

  /** Deletes at most `limit` entries: those from before the time, and the oldest beyond `MAX_AUDIT_ENTRIES`. Resolves with their number. */
  prune(beforeMs: number, limit: number): Promise<number>
}

/** How long entries are kept, whatever the retention of events is: longer than the year after which people ask. */
export const AUDIT_DAYS = 400
/** How many entries are kept at most. */
export const MAX_AUDIT_ENTRIES = 200_000

/** Characters of the texts of an entry. A longer text is cut, and ends in `…`. */
export const MAX_AUDIT_TEXT = 256
export const MAX_CLAIMED_NAME = 64

/** Records changes, and tells the log of them. */
export interface AuditTrail {
  /** Never rejects: what cannot be recorded is in the log all the same. */
  record(entry: AuditEntry): Promise<void>
}

/** In one line, without characters that could deceive its reader; undefined if nothing is left. */
export function auditText(text: string | undefined, maxLength = MAX_AUDIT_TEXT): string | undefined {
  const line = text?.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  if (line === undefined || line === '') return undefined
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 1).toWellFormed()}…`
}
