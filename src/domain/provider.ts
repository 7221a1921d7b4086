import { type Static, type TSchema, Type } from '@sinclair/typebox'
import type { EventFields, Headers } from './event.ts'
import { MAX_OPEN_CALLS } from './limits.ts'
import type { ApiRequest } from './outbound.ts'
import type { TaskEnd, TaskEnding } from './task.ts'

/**
 * What a provider module may write: the schemas of its data, from which their types are derived, and the types of its code.
 * `providers/check-provider.ts` checks a module by them.
 */

/** The type of the values that match this schema. Read-only at every level, so that a module may also use a constant. */
export type Written<Schema extends TSchema> = ReadonlyThroughout<Static<Schema>>

type ReadonlyThroughout<Value> = Value extends readonly (infer Item)[]
  ? readonly ReadonlyThroughout<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: ReadonlyThroughout<Value[Key]> }
    : Value

/** How requests are verified: the name of a signature scheme, and that scheme's settings (`signatures/<scheme>.ts`). */
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

/** Where each field of an event is found; of several selectors, the first that finds a value counts. */
export type EventMap = {
  readonly [Field in keyof Static<typeof eventMap>]: Selector | readonly Selector[]
}

/**
 * Code that reads an event, where a map is not enough. If it gives no id, the event is identified by its body, type, api_version
 * and task. Pure: it runs again, in another process, for each attempt.
 */
export type EventReader = (request: { readonly headers: Headers; readonly body: unknown }) => {
  readonly [Field in Exclude<keyof EventFields, 'created_at_source'>]?: unknown
}

/** What the answer to a poll says: the task goes on, or it has ended, with the event that the provider's webhook would have carried. */
export type TaskAnswer =
  | { readonly status: 'pending'; readonly word: string }
  | {
      readonly status: Exclude<TaskEnding, 'expired'>
      readonly word: string
      readonly event: { readonly type: string; readonly data: unknown; readonly created_at?: unknown }
    }

export interface Submission {
  /** The caller's request, unchanged. */
  readonly request: Readonly<Record<string, unknown>>
  /** The URL that receives this source's webhooks; never undefined if the module sets `callsBack`. */
  readonly webhookUrl: string | undefined
  /** The newest of the source's secrets, for providers that get the secret with the request. */
  readonly secret: string
}

export const submitData = Type.Object({
  /** Each request contains the webhook's URL, so that `PUBLIC_URL` must be set. */
  callsBack: Type.Boolean(),
  /** The provider honours `Idempotency-Key`: Holdfast repeats a request that may have been lost, and gets no second task. */
  idempotent: Type.Boolean(),
})

interface SubmitApi extends Written<typeof submitData> {
  /** Undefined: the provider has no endpoint for such a request. */
  readonly request: (submission: Submission) => ApiRequest | undefined
  /** Reads the new task's id from a 2xx answer. */
  readonly taskId: (answer: unknown) => unknown
}

/** One poll in an hour. */
const MIN_POLLS_PER_SECOND = 1 / 3_600
const MAX_POLLS_PER_SECOND = 10_000

export const taskData = Type.Object({
  /** False: the provider has no webhooks for tasks, so it is no fault that only polls end them. Default: true. */
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
   * Reads a 2xx answer; undefined if it is not about this task. Pure: an answer that ended a task is stored as an event, which is
   * read again in another process for each attempt.
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
  /** Undefined for an entry that is no registration. */
  readonly items: readonly (Registration | undefined)[]
  /** The `after` of the next page; absent: this is the last page. */
  readonly next?: string | undefined
}

export const registrationData = Type.Object({
  /**
   * The events of a new registration, unless the caller or `SOURCE_<NAME>_TYPES` names others. There, a pattern means the events of
   * this list that match it.
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
  /**
   * Reads the answer to `create` and `update`; undefined if it is no registration. `requested`: the values of the request, for the
   * fields that the answer does not repeat.
   */
  readonly read: (answer: unknown, requested?: RegistrationChanges) => Registration | undefined
  /** The secret that the provider gives when it creates a registration, if it gives one. */
  readonly secret?: (answer: unknown) => unknown
  /** The provider's name for an event type or a pattern of types. For a provider whose registrations name groups of event types. */
  readonly eventOf?: (type: string) => string
}

export const apiData = Type.Object({
  /** The base URL unless `SOURCE_<NAME>_API_URL` is set. Absent: that variable must be set. */
  url: Type.Optional(Type.String()),
})

/** The provider's own API. */
export interface ProviderApi extends Written<typeof apiData> {
  /** Sent with every request; `key` is undefined if none is configured. */
  readonly headers?: (key: string | undefined) => Readonly<Record<string, string>>
  readonly tasks?: TaskApi
  readonly registrations?: RegistrationApi
}

/** The sample event that `holdfast send` needs. */
export interface SampleEvent {
  readonly id: string
  readonly type: string
  /** The user's data. Absent: sample data that is usual for the type. */
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
   * Bytes of the shortest key that the provider gives or allows. Default: the scheme's minimum, 24 for `hmac`, 1 for a shared
   * secret.
   */
  minKeyBytes: Type.Optional(Type.Integer({ minimum: 1 })),
  /**
   * `manual`: the provider sends an event again only when a person requests it. Such a redelivery then runs the event's dead
   * deliveries again, unless `SOURCE_<NAME>_REDELIVERY_REPLAYS_DEAD` says otherwise. Default: `automatic`.
   */
  redelivery: Type.Optional(Type.TemplateLiteral('${manual|automatic}')),
  /**
   * How a person registers the webhook at the provider, step by step, one or two sentences each: for the console. `SOURCE_<NAME>` stands
   * for the prefix of the source's variables.
   */
  setup: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 300 }), { maxItems: 8 })),
  /**
   * What becomes of webhooks that were refused or did not arrive: whether the provider sends them again by itself, and how a person has
   * them sent again. One sentence or more, for the console.
   */
  missed: Type.Optional(Type.String({ minLength: 1, maxLength: 400 })),
})

/** A kind of sender, for example Stripe: how its requests are verified and read, and how its API is called. */
export interface Provider<Scheme extends AnyScheme = AnyScheme> extends Written<typeof providerData> {
  readonly verify: Scheme
  readonly event: EventMap | EventReader
  /**
   * For a provider that names the event's type in a header that is not signed. Gives the reason if the body cannot be of that type,
   * and the event is quarantined with this reason; undefined if it can. Pure, as `event` is.
   */
  readonly mismatch?: (request: { readonly headers: Headers; readonly body: unknown }) => string | undefined
  /** Event type → schema of its `data`; an event that does not match its schema is quarantined. */
  readonly schemas?: Readonly<Record<string, TSchema>>
  /** How the event ends its task; undefined: it does not. Pure. */
  readonly ends?: (event: { readonly type: string; readonly data: unknown }) => TaskEnd | undefined
  readonly api?: ProviderApi
  /** Makes sample events, for `holdfast send` and the console. Absent: Holdfast makes them from `event`. */
  readonly samples?: (event: SampleEvent) => Sample
}
