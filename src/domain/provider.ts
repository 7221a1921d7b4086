import type { Static, TSchema } from '@sinclair/typebox'
import type { EventFields, Headers } from './event.ts'
import type { ApiRequest } from './outbound.ts'
import type { TaskEnd, TaskEnding } from './task.ts'

/**
 * What a module may write where this schema stands. It is read-only throughout, so that a constant of the module serves too.
 */
export type Written<Schema extends TSchema> = ReadonlyThroughout<Static<Schema>>

type ReadonlyThroughout<Value> = Value extends readonly (infer Item)[]
  ? readonly ReadonlyThroughout<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: ReadonlyThroughout<Value[Key]> }
    : Value

/** How requests are proven: the name of a signature scheme, and the settings that this scheme has (`signatures/<scheme>.ts`). */
export interface AnyScheme {
  readonly scheme: string
}

/** `header:<name>` or `body:<dotted path>`; `body:` alone is the whole body. */
export type Selector = `header:${string}` | `body:${string}`

/** Where an event's fields stand; of several selectors the first that finds something counts. */
export interface EventMap {
  /**
   * Absent, or finding nothing: the SHA-256 of the body and of the headers that the other selectors read, but for the time, so
   * that the same body with the same type is a duplicate.
   */
  readonly id?: Selector | readonly Selector[]
  readonly type: Selector | readonly Selector[]
  /** Whatever `readCreatedAt` (created-at.ts) reads: RFC 3339 and near it, RFC 2822, dates of HTTP, s, ms, µs or ns since the epoch. */
  readonly created_at?: Selector | readonly Selector[]
  /** Absent: the whole body. */
  readonly data?: Selector | readonly Selector[]
  readonly api_version?: Selector | readonly Selector[]
  readonly task?: Selector | readonly Selector[]
}

/**
 * Reads an event by code where a map does not do. An event of which it gives no id is known by its body, type, api_version and
 * task. Pure: it runs again, in another process, for each attempt.
 */
export type EventReader = (request: { readonly headers: Headers; readonly body: unknown }) => {
  readonly [Field in Exclude<keyof EventFields, 'created_at_source'>]?: unknown
}

/** What the answer to a poll says: still going, or the event that the provider's webhook would have brought. */
export type TaskAnswer =
  | { readonly status: 'pending'; readonly word: string }
  | {
      readonly status: Exclude<TaskEnding, 'expired'>
      readonly word: string
      readonly event: { readonly type: string; readonly data: unknown; readonly created_at?: unknown }
    }

/** What a submission needs beside the request. */
export interface Submission {
  /** The caller's, as it came. */
  readonly request: Readonly<Record<string, unknown>>
  /** Where this source's webhooks go; undefined only if the module does not say `callsBack`. */
  readonly webhookUrl: string | undefined
  /** The newest of the source's secrets, for providers that send one along. */
  readonly secret: string
}

/** Tasks at the provider: how it is asked for one, and given one. */
export interface TaskApi {
  /** Undefined: the id is of no kind that the provider could be asked for. */
  readonly poll: (taskId: string) => ApiRequest | undefined
  /**
   * Reads a 2xx answer; undefined if it is not about this task. Pure: an answer that ended a task is an event, and is read
   * again in another process for each attempt.
   */
  readonly read: (answer: unknown, taskId: string) => TaskAnswer | undefined
  readonly submit?: {
    /** Undefined: it is no request that the provider has an endpoint for. */
    readonly request: (submission: Submission) => ApiRequest | undefined
    /** The new task's id in a 2xx answer. */
    readonly taskId: (answer: unknown) => unknown
    /** Each request names the webhook's URL, so that `PUBLIC_URL` is needed. */
    readonly callsBack: boolean
    /** The provider honours `Idempotency-Key`: what may have been lost is sent again, and makes no second task. */
    readonly idempotent: boolean
  }
  /** False: it has no webhooks for tasks, so that polling is how they end, and no fault. */
  readonly pushes?: boolean
  /** Polls at once (256 at most) and in each second (from one in an hour to 10,000), of one source; 16 and 50 unless given. */
  readonly concurrency?: number
  readonly pollsPerSecond?: number
}

/** A webhook registered at the provider. */
export interface Registration {
  readonly id: string
  readonly url: string
  /** As the provider names them; `*` alone: all. */
  readonly events: readonly string[]
  readonly active: boolean
}

export interface RegistrationChanges {
  readonly url?: string
  readonly events?: readonly string[]
  readonly active?: boolean
}

export interface RegistrationPage {
  /** Undefined: an entry that is none. */
  readonly items: readonly (Registration | undefined)[]
  /** What to ask for the page after this one with; absent: it is the last. */
  readonly next?: string | undefined
}

/** Webhooks registered at the provider through its own API. */
export interface RegistrationApi {
  /** One page; `after` is what `readList` gave as `next`. */
  readonly list: (after?: string) => ApiRequest
  /** Undefined: it is no list. */
  readonly readList: (answer: unknown, after?: string) => RegistrationPage | undefined
  /** `secret`: the newest of the source's, for providers that are told it. */
  readonly create: (changes: Required<Pick<RegistrationChanges, 'url' | 'events'>>, secret: string) => ApiRequest
  /** Sends the secret along only where `url` is given. Undefined: the provider cannot change that. */
  readonly update: (id: string, changes: RegistrationChanges, secret: string) => ApiRequest | undefined
  readonly remove: (id: string) => ApiRequest
  /** Reads the answer to `create` and `update`; undefined if it is none. `asked`: what the answer need not repeat. */
  readonly read: (answer: unknown, asked?: RegistrationChanges) => Registration | undefined
  /** The secret that the provider hands out when it creates a registration, where it does. */
  readonly secret?: (answer: unknown) => unknown
  /** What is asked for unless the caller or `SOURCE_<NAME>_TYPES` says; a pattern stands for those of them that match. */
  readonly events: readonly string[]
  /** What the provider calls an event type, or a pattern of types, where a registration is coarser than the events. */
  readonly eventOf?: (type: string) => string
}

/** The provider's own API. */
export interface ProviderApi {
  /** Base URL unless `SOURCE_<NAME>_API_URL` is set; absent: it has to be. */
  readonly url?: string
  /** Sent with every request; `key` is undefined where none is configured. */
  readonly headers?: (key: string | undefined) => Readonly<Record<string, string>>
  readonly tasks?: TaskApi
  readonly registrations?: RegistrationApi
}

/** A kind of sender. */
export interface Provider<Scheme extends AnyScheme = AnyScheme> {
  /** What `SOURCE_<NAME>_PROVIDER` names. */
  readonly name: string
  /** Media types that it sends; default `application/json`. A request without a content type is taken as one of them. */
  readonly contentTypes?: readonly string[]
  readonly verify: Scheme
  /** Bytes of the shortest key that the provider hands out or lets one choose; default 24 for `hmac`, 1 for a shared secret. */
  readonly minKeyBytes?: number
  readonly event: EventMap | EventReader
  /**
   * For a provider that names the event's type in a header that is not signed: why the body cannot be of that type, where it
   * certainly cannot; the event is quarantined, with this as its reason. Pure, as `event` is.
   */
  readonly mismatch?: (request: { readonly headers: Headers; readonly body: unknown }) => string | undefined
  /**
   * `manual`: it sends an event again only when a person asks for it. Unless `SOURCE_<NAME>_REDELIVERY_REPLAYS_DEAD` says
   * otherwise, that runs the event's dead deliveries again. Default: `automatic`.
   */
  readonly redelivery?: 'manual' | 'automatic'
  /** Event type → schema of its `data`; an event that is not as its schema says is quarantined. */
  readonly schemas?: Readonly<Record<string, TSchema>>
  /** How the event ends its task; undefined: it does not. Pure. */
  readonly ends?: (event: { readonly type: string; readonly data: unknown }) => TaskEnd | undefined
  readonly api?: ProviderApi
}
