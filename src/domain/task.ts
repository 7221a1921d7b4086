/**
 * Work that a provider does, and whose end Holdfast waits for.
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
 * A terminal status never changes. The event that ends a task is stored in the same transaction (`EventStore.append`). A later event
 * that also reports the end of the task is stored as superseded and not dispatched. A task that is tracked after that event has
 * arrived is terminal from the start. A task that its caller cancelled was ended by no event: a later event about it is dispatched
 * like any other.
 */
export const TASK_STATUSES = ['submitting', 'pending', 'completed', 'failed', 'cancelled', 'expired'] as const
export type TaskStatus = (typeof TASK_STATUSES)[number]

/** How a task ends. */
export type TaskEnding = Exclude<TaskStatus, 'submitting' | 'pending'>

const ENDINGS: ReadonlySet<unknown> = new Set(TASK_STATUSES.filter(isTerminal))

/** Whether a value, for example from a user's module, is a terminal status. */
export const isEnding = (value: unknown): value is TaskEnding => ENDINGS.has(value)

/** How Holdfast learned of a task's end. Label values of `holdfast_tasks_resolved_total`; the set is closed. */
export const RESOLVED_BY = ['webhook', 'poll', 'expiry'] as const
export type ResolvedBy = (typeof RESOLVED_BY)[number]

export function isTerminal(status: TaskStatus): status is TaskEnding {
  return status !== 'submitting' && status !== 'pending'
}

/** How an event ends its task. */
export interface TaskEnd {
  readonly status: TaskEnding
  /** The provider's own status. */
  readonly word: string
}

/** The type of the event that ends a task at its deadline. Holdfast makes this event, for every provider. */
export const EXPIRED_TYPE = 'task.expired'

/** Whether Holdfast made an event at the deadline of its task. */
export const isExpiry = ({ origin, type }: { readonly origin: string; readonly type: string }): boolean =>
  origin === 'poll' && type === EXPIRED_TYPE

/** A task as the store knows it. */
export interface Task {
  /** Holdfast's id of the task (UUIDv7). Callers can use it while the provider has given no id. */
  readonly uid: string
  readonly source: string
  /** The provider's id, unique within its source; null while `submitting`. */
  readonly id: string | null
  readonly status: TaskStatus
  /** The provider's own status, from its last answer or webhook. An expired task keeps it. */
  readonly providerStatus: string | null
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly createdAtMs: number
  /** From this time on Holdfast polls the provider. */
  readonly staleAtMs: number
  /** The deadline: a task that has not ended by then expires. */
  readonly expiresAtMs: number
  /** When the task is next polled, or submitted again; null once it is terminal. */
  readonly nextPollAtMs: number | null
  /** How often the provider was polled. */
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
  /** The provider's id. Absent: the task is still to be submitted. */
  readonly id?: string
  /** JSON of the request to submit, kept until the provider has answered it. */
  readonly request?: string
  /** JSON of an object. */
  readonly metadata?: string
  /** The caller's `Idempotency-Key`, and the fingerprint by which its request is told from another. */
  readonly idempotency?: { readonly key: string; readonly fingerprint: string }
  readonly maxWaitMs: number
  readonly deadlineMs: number
  /** For a task that is to be submitted: the caller's lease on it, during which no other caller submits it. */
  readonly leaseMs?: number
}

/** A task that one caller has leased: until the lease runs out, only that caller may move it on. */
export interface LeasedTask {
  readonly uid: string
  readonly source: string
  /** Fencing token. */
  readonly lease: string
  /** Undefined: not submitted yet, or the outcome of the submission is not known. */
  readonly id: string | undefined
  /** Of a task that is to be submitted: its request as JSON. */
  readonly request: string | undefined
  /** The last lease ran out, or its holder ended, before the holder had recorded an outcome. */
  readonly interrupted: boolean
  readonly createdAtMs: number
  readonly staleAtMs: number
  readonly expiresAtMs: number
  /** How many polls or submissions in a row gave no answer that could be used. */
  readonly failures: number
  /** The error of the last one. */
  readonly lastError: string | undefined
  /** The provider's own status, from its last answer. */
  readonly providerStatus: string | undefined
}

/** A task that has ended, as `TaskEnds` reports it. */
export interface EndedTask {
  readonly uid: string
  readonly source: string
  readonly id: string | undefined
  readonly status: TaskEnding
  /** Undefined: the caller cancelled the task, or the provider refused it. */
  readonly by: ResolvedBy | undefined
}
