/**
 * Work that a provider does for us and whose end we await.
 *
 * ```
 *                  submitted                webhook, poll
 *   submitting ───────────────→ pending ──────────────────→ completed | failed | cancelled
 *      │  │                     ↑     │
 *      │  │           track ────┘     ├─── cancel ────────→ cancelled
 *      │  └─ refused ─→ failed        └─── deadline ──────→ expired
 *      └──── deadline ──────────────────────────────────────↗
 * ```
 *
 * Terminal is terminal. One event ends a task, and both are one transaction (`EventStore.append`): an event that arrives
 * for a task that another one has ended is kept as superseded and not dispatched. A task that was tracked after its
 * last event had arrived is terminal from the start. A task that its owner cancelled
 * has no such event: an event that comes for it later is dispatched like any other.
 */
export const TASK_STATUSES = ['submitting', 'pending', 'completed', 'failed', 'cancelled', 'expired'] as const
export type TaskStatus = (typeof TASK_STATUSES)[number]

/** How a task ends. */
export type TaskEnding = Exclude<TaskStatus, 'submitting' | 'pending'>

const ENDINGS: ReadonlySet<unknown> = new Set(TASK_STATUSES.filter(isTerminal))

/** Whether any value, as a user's module gives it, names an end of a task. */
export const isEnding = (value: unknown): value is TaskEnding => ENDINGS.has(value)

/** What brought the end of a task to us. Label values of `holdfast_tasks_resolved_total`; the set is closed. */
export const RESOLVED_BY = ['webhook', 'poll', 'expiry'] as const
export type ResolvedBy = (typeof RESOLVED_BY)[number]

export function isTerminal(status: TaskStatus): status is TaskEnding {
  return status !== 'submitting' && status !== 'pending'
}

/** What an event says of its task's end. */
export interface TaskEnd {
  readonly status: TaskEnding
  /** The provider's own word for it. */
  readonly word: string
}

/** The type of the event that ends a task at its deadline; Holdfast's own, whatever the provider. */
export const EXPIRED_TYPE = 'task.expired'

/** A task as the store knows it. */
export interface Task {
  /** Ours (UUIDv7): by it the task can be asked for while the provider has given it no id. */
  readonly uid: string
  readonly source: string
  /** The provider's id, unique within its source; null while `submitting`. */
  readonly id: string | null
  readonly status: TaskStatus
  /** The provider's own word, as it was last heard; also of one that expired. */
  readonly providerStatus: string | null
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly createdAtMs: number
  /** From when on the provider is asked. */
  readonly staleAtMs: number
  /** The deadline: from then on the task expires. */
  readonly expiresAtMs: number
  /** When it is next asked for (or submitted again); null once it is terminal. */
  readonly nextPollAtMs: number | null
  /** How often the provider was asked. */
  readonly polls: number
  readonly lastError: string | null
  readonly endedAtMs: number | null
  readonly resolvedBy: ResolvedBy | null
  /** The event that ended it. */
  readonly eventUid: string | null
}

/** A task on its way into the store. */
export interface NewTask {
  readonly uid: string
  readonly source: string
  /** The provider's id; absent: it is still to be submitted. */
  readonly id?: string
  /** JSON of the provider's own request, kept until the provider has answered it. */
  readonly request?: string
  /** JSON of an object. */
  readonly metadata?: string
  /** The caller's `Idempotency-Key`, and what tells its request from another. */
  readonly idempotency?: { readonly key: string; readonly fingerprint: string }
  readonly maxWaitMs: number
  readonly deadlineMs: number
  /** For a task that is being submitted: no other caller submits it within this time. */
  readonly leaseMs?: number
}

/** A task that one caller has leased: until the lease runs out, only that caller may move it on. */
export interface LeasedTask {
  readonly uid: string
  readonly source: string
  /** Fencing token. */
  readonly lease: string
  /** Undefined: not submitted yet, as far as is known. */
  readonly id: string | undefined
  /** JSON; of a task that is to be submitted. */
  readonly request: string | undefined
  /** The last holder of the lease went away before it was done. */
  readonly interrupted: boolean
  readonly createdAtMs: number
  readonly staleAtMs: number
  readonly expiresAtMs: number
  /** How often it was asked for without an answer that could be used, since the last one that could. */
  readonly failures: number
  /** What the last of them was. */
  readonly lastError: string | undefined
  /** The provider's own word, as it was last heard. */
  readonly providerStatus: string | undefined
}

/** Told once for each task that ends, after the commit. */
export interface EndedTask {
  readonly uid: string
  readonly source: string
  readonly id: string | undefined
  readonly status: TaskEnding
  /** Undefined: by its owner, or because the provider refused it. */
  readonly by: ResolvedBy | undefined
}
