import { type Static, type TSchema, Type } from '@sinclair/typebox'
import type { EventFields, Headers } from './event.ts'
import { MAX_OPEN_CALLS } from './limits.ts'
import type { ApiRequest } from './outbound.ts'
import type { TaskEnd, TaskEnding } from './task.ts'

/**
 * What a provider module may write: the schemas of its data, from which their types are derived, and the types of its code.
 * `providers/check-provider.ts` checks a module by them.
 */

/** What a module may write where this schema stands. It is read-only throughout, so that a constant of the module serves too. */
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

const oneSelector = Type.String({ pattern: '^(header:.+|body:.*)$' })
const selectors = Type.Union([oneSelector, Type.Array(oneSelector, { minItems: 1 })])

export const eventMap = Type.Object(
  {
    /**
     * If it is absent or finds nothing, the id is the SHA-256 of the body and of the headers that the other selectors read,
     * except the time. The same body with the same type is then a duplicate.
     */
    id: Type.Optional(selectors),
    type: selectors,
    /** RFC 3339 and near it, RFC 2822, dates of HTTP, s, ms, µs or ns since the epoch: what `readCreatedAt` (created-at.ts) reads. */
    created_at: Type.Optional(selectors),
    /** Absent: the whole body. */
    data: Type.Optional(selectors),
    api_version: Type.Optional(selectors),
    task: Type.Optional(selectors),
  },
  { additionalProperties: false },
)

/** Where an event's fields stand; of several selectors the first that finds something counts. */
export type EventMap = {
  readonly [Field in keyof Static<typeof eventMap>]: Selector | readonly Selector[]
}

/**
 * Reads an event by code, where a map is not enough. An event for which it gives no id is known by its body, type, api_version
 * and task. Pure: it runs again, in another process, for each attempt.
 */
export type EventReader = (request: { readonly headers: Headers; readonly body: unknown }) => {
  readonly [Field in Exclude<keyof EventFields, 'created_at_source'>]?: unknown
}

/** What the answer to a poll says: the task goes on, or the event that the provider's webhook would have brought. */
export type TaskAnswer =
  | { readonly status: 'pending'; readonly word: string }
  | {
      readonly status: Exclude<TaskEnding, 'expired'>
      readonly word: string
      readonly event: { readonly type: string; readonly data: unknown; readonly created_at?: unknown }
    }

export interface Submission {
  /** The caller's request, as it came. */
  readonly request: Readonly<Record<string, unknown>>
  /** Where this source's webhooks go; undefined only if the module does not say `callsBack`. */
  readonly webhookUrl: string | undefined
  /** The newest of the source's secrets, for providers that send one along. */
  readonly secret: string
}

export const submitData = Type.Object({
  /** Each request names the webhook's URL, so that `PUBLIC_URL` is needed. */
  callsBack: Type.Boolean(),
  /** The provider honours `Idempotency-Key`: a request that may have been lost is sent again, and makes no second task. */
  idempotent: Type.Boolean(),
})

interface SubmitApi extends Written<typeof submitData> {
  /** Undefined: the provider has no endpoint for such a request. */
  readonly request: (submission: Submission) => ApiRequest | undefined
  /** The new task's id in a 2xx answer. */
  readonly taskId: (answer: unknown) => unknown
}

/** One poll in an hour: the longest wait between two polls that a timer can count. */
const MIN_POLLS_PER_SECOND = 1 / 3_600
const MAX_POLLS_PER_SECOND = 10_000

export const taskData = Type.Object({
  /** False: the provider has no webhooks for tasks, so that polls end them, and that is no fault. */
  pushes: Type.Optional(Type.Boolean()),
  /** Polls of one source at the same time, 256 at most. Default: 16. */
  concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_OPEN_CALLS })),
  /** Polls of one source in each second, from one in an hour to 10,000. Default: 50. */
  pollsPerSecond: Type.Optional(Type.Number({ minimum: MIN_POLLS_PER_SECOND, maximum: MAX_POLLS_PER_SECOND })),
})

/** Tasks at the provider: how they are polled and submitted. */
export interface TaskApi extends Written<typeof taskData> {
  /** Undefined: the provider cannot have a task with this id. */
  readonly poll: (taskId: string) => ApiRequest | undefined
  /**
   * Reads a 2xx answer; undefined if it is not about this task. Pure: an answer that ended a task is an event, and is read
   * again in another process for each attempt.
   */
  readonly read: (answer: unknown, taskId: string) => TaskAnswer | undefined
  readonly submit?: SubmitApi
}

/** A webhook registered at the provider. */
export interface Registration {
  readonly id: string
  readonly url: string
  /** By the provider's names; `*` alone: all. */
  readonly events: readonly string[]
  readonly active: boolean
}

export interface RegistrationChanges {
  readonly url?: string
  readonly events?: readonly string[]
  readonly active?: boolean
}

interface RegistrationPage {
  /** Undefined: an entry that is no registration. */
  readonly items: readonly (Registration | undefined)[]
  /** The `after` of the next page; absent: this is the last page. */
  readonly next?: string | undefined
}

export const registrationData = Type.Object({
  /**
   * What a registration asks for, unless the caller or `SOURCE_<NAME>_TYPES` says; a pattern there stands for those of these
   * events that match it.
   */
  events: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
})

/** Webhooks registered at the provider through its own API. */
export interface RegistrationApi extends Written<typeof registrationData> {
  /** One page; `after` is what `readList` gave as `next`. */
  readonly list: (after?: string) => ApiRequest
  /** Undefined: the answer is no list. */
  readonly readList: (answer: unknown, after?: string) => RegistrationPage | undefined
  /** `secret`: the newest of the source's secrets, for providers that need to know it. */
  readonly create: (changes: Required<Pick<RegistrationChanges, 'url' | 'events'>>, secret: string) => ApiRequest
  /** Sends the secret along only if `url` is given. Undefined: the provider cannot change that. */
  readonly update: (id: string, changes: RegistrationChanges, secret: string) => ApiRequest | undefined
  readonly remove: (id: string) => ApiRequest
  /** Reads the answer to `create` and `update`; undefined if it is none. `asked`: what the answer need not repeat. */
  readonly read: (answer: unknown, asked?: RegistrationChanges) => Registration | undefined
  /** The secret that the provider gives when it creates a registration, if it gives one. */
  readonly secret?: (answer: unknown) => unknown
  /** The provider's name for an event type, or for a pattern of types, if its registrations are coarser than its events. */
  readonly eventOf?: (type: string) => string
}

export const apiData = Type.Object({
  /** Base URL, unless `SOURCE_<NAME>_API_URL` is set; absent: that variable has to be set. */
  url: Type.Optional(Type.String()),
})

/** The provider's own API. */
export interface ProviderApi extends Written<typeof apiData> {
  /** Sent with every request; `key` is undefined if none is configured. */
  readonly headers?: (key: string | undefined) => Readonly<Record<string, string>>
  readonly tasks?: TaskApi
  readonly registrations?: RegistrationApi
}

/** An event that `holdfast send` is asked for. */
export interface SampleEvent {
  readonly id: string
  readonly type: string
  /** The user's data; absent: any that is usual for the type. */
  readonly data?: Readonly<Record<string, unknown>> | undefined
  readonly nowMs: number
}

/** An event in the form in which its provider sends it, not signed yet. */
export interface Sample {
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

export const providerData = Type.Object({
  /** The value of `SOURCE_<NAME>_PROVIDER`. */
  name: Type.String({ pattern: '^[a-z0-9-]{1,64}$' }),
  /** Media types that it sends; default `application/json`. A request without a content type counts as one of them. */
  contentTypes: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z0-9.+-]+/[a-z0-9.+-]+$' }), { minItems: 1 })),
  /**
   * Bytes of the shortest key that the provider gives or allows. Default: what the scheme asks for, 24 for `hmac`, 1 for a
   * shared secret.
   */
  minKeyBytes: Type.Optional(Type.Integer({ minimum: 1 })),
  /**
   * `manual`: the provider sends an event again only when a person asks for it. Unless
   * `SOURCE_<NAME>_REDELIVERY_REPLAYS_DEAD` says otherwise, that runs the event's dead deliveries again. Default: `automatic`.
   */
  redelivery: Type.Optional(Type.TemplateLiteral('${manual|automatic}')),
})

/** A kind of sender. */
export interface Provider<Scheme extends AnyScheme = AnyScheme> extends Written<typeof providerData> {
  readonly verify: Scheme
  readonly event: EventMap | EventReader
  /**
   * For a provider that names the event's type in a header that is not signed: why the body certainly cannot be of that type.
   * The event is quarantined with this reason. Pure, as `event` is.
   */
  readonly mismatch?: (request: { readonly headers: Headers; readonly body: unknown }) => string | undefined
  /** Event type → schema of its `data`; an event that does not match its schema is quarantined. */
  readonly schemas?: Readonly<Record<string, TSchema>>
  /** How the event ends its task; undefined: it does not. Pure. */
  readonly ends?: (event: { readonly type: string; readonly data: unknown }) => TaskEnd | undefined
  readonly api?: ProviderApi
  /** Sample events, for `holdfast send`; absent: they follow from `event`. */
  readonly samples?: (event: SampleEvent) => Sample
}
