import type { Logger } from 'pino'
import { HoldfastError, isHoldfastError } from '../domain/errors.ts'
import { parseJson, valueAt } from '../domain/json.ts'
import { MAX_INLINE_BYTES, MAX_SHORT_ANSWER_BYTES } from '../domain/limits.ts'
import { API_METHODS, type CallProvider, type ReadyRequest } from '../domain/outbound.ts'
import type { Registration, RegistrationApi, RegistrationChanges } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import type { ProviderReaders } from '../pipeline/provider-readers.ts'
import { checkedRegistration, notFound } from './registration.ts'

/**
 * How long one operation may start calls to its provider, counted from its beginning: including its wait in the queue, every page and
 * every change. A call that is open at the deadline is not cut off, since its answer may contain a secret that is shown only once. So
 * an operation takes at most this time and one more call (`CALL_TIMEOUT_MS`).
 */
export const OPERATION_DEADLINE_MS = 120_000

/** The most pages of one list. If a provider has more, the list fails. */
const MAX_PAGES = 20

/** The most characters of an error message that quotes a provider or a module. */
const MAX_MESSAGE_LENGTH = 300

/** Where APIs put the text of an error: Stripe and OpenAI; GitHub, which has a title and a reason; others. */
const MESSAGE_PATHS = ['error.message', 'message', 'errors.0.message', 'error', 'detail']

const METHODS: ReadonlySet<unknown> = new Set(API_METHODS)

type RequestName = 'list' | 'create' | 'update' | 'remove' | 'eventOf'
type ReaderName = 'readList' | 'read' | 'secret'

/** The readers that run the functions of a provider's module. */
export interface ModuleReaders {
  readonly readers: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'apiWithBody'>
}

export const canRegister = ({ provider, call }: ConnectedSource): boolean =>
  provider.api?.registrations !== undefined && call !== undefined

/**
 * The registrations of one source at its provider, for the time of one operation. The provider's module may be a user's, so each value
 * that it returns is checked before it is used.
 */
export class RegistrationClient {
  readonly source: ConnectedSource
  readonly api: RegistrationApi
  readonly #call: CallProvider
  readonly #modules: ModuleReaders
  readonly #log: Logger
  /** Once it is true, no further call is made. */
  readonly isPastDeadline: () => boolean

  /** Throws `not_configured`, with the missing variable. `nowMs`: a monotonic clock. */
  constructor(source: ConnectedSource, modules: ModuleReaders, log: Logger, nowMs: () => number) {
    const { provider, variable, call } = source
    if (provider.api?.registrations === undefined)
      throw notConfigured(`provider ${provider.name} has no API to register webhooks with`)
    if (call === undefined)
      throw notConfigured(
        provider.api.url === undefined
          ? `${variable}_API_URL is not set; ${variable}_API_KEY may be needed too`
          : `${variable}_API_KEY is not set`,
      )
    const endMs = nowMs() + OPERATION_DEADLINE_MS
    this.source = source
    this.api = provider.api.registrations
    this.#call = call
    this.#modules = modules
    this.#log = log
    this.isPastDeadline = () => nowMs() >= endMs
  }

  /** All registrations that can be read, page after page. */
  async listAll(): Promise<readonly Registration[]> {
    const all: Registration[] = []
    let after: string | undefined
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const answer = await this.send(await this.request('list', after))
      const page = await this.#readPage(answer, after)
      if (page === undefined) throw this.failed('its answer is no list of registrations')
      all.push(...page.items)
      after = page.next
      if (after === undefined) return all
    }
    throw this.failed(`its list goes on after ${MAX_PAGES} pages`)
  }

  /** The request that the module makes; it may be any value. Throws `not_configured` if the module throws. */
  async request(name: Exclude<RequestName, 'eventOf'>, ...args: readonly unknown[]): Promise<unknown> {
    try {
      return await this.#make(name, ...args)
    } catch (error) {
      if (isHoldfastError(error)) throw error
      throw this.#notMade(error)
    }
  }

  /** The provider's name for an event type or a pattern; undefined: the module has no name for it. */
  async eventName(pattern: string): Promise<string | undefined> {
    if (this.api.eventOf === undefined) return pattern
    const name = await this.#make('eventOf', pattern).catch(() => undefined)
    return typeof name === 'string' ? name : undefined
  }

  /**
   * Gives the bytes of a 2xx answer. With an `id`, a 404 means that there is no such registration. Throws `provider_failed` for
   * any other answer, and for a request that cannot be sent.
   */
  async send(request: unknown, id?: string): Promise<Buffer> {
    if (!isRequest(request)) throw this.failed('its module made no request that can be sent')
    if (this.isPastDeadline())
      throw this.failed(`the operation took more than ${OPERATION_DEADLINE_MS / 1_000} s, and no further call was made`)
    const result = await this.#call(request, undefined, { maxBytes: MAX_SHORT_ANSWER_BYTES })
    if (!result.ok) throw this.failed(result.message)
    const { status, body } = result
    if (status >= 200 && status < 300) return body
    if (id !== undefined && (status === 404 || status === 410)) throw notFound(this.source, id)
    const words = this.#wordsIn(body)
    throw this.failed(`it answered ${status}${words === '' ? '' : `: ${words}`}`)
  }

  /** `requested`: the values for fields that the answer does not repeat. Undefined: the answer has no usable registration. */
  async readRegistration(answer: Buffer, requested: RegistrationChanges): Promise<Registration | undefined> {
    return checkedRegistration(this.source, await this.#read('read', answer, requested))
  }

  async readSecret(answer: Buffer): Promise<string | undefined> {
    const value = await this.#read('secret', answer)
    return typeof value === 'string' ? value : undefined
  }

  /** Logs only the source, the id and the action. */
  logChange(id: string, action: 'created' | 'updated' | 'deleted'): void {
    this.#log.info({ source: this.source.name, id, action }, 'registration changed')
  }

  failed(what: string): HoldfastError {
    const { name, provider, redact } = this.source
    return new HoldfastError('provider_failed', clip(redact(`${provider.name}, for source ${name}: ${what}`)))
  }

  /** Leaves out entries that are no usable registration: they may be of another kind. */
  async #readPage(
    answer: Buffer,
    after: string | undefined,
  ): Promise<{ readonly items: readonly Registration[]; readonly next: string | undefined } | undefined> {
    const { items, next } = ((await this.#read('readList', answer, after)) ?? {}) as {
      readonly items?: unknown
      readonly next?: unknown
    }
    if (!Array.isArray(items) || !(next === undefined || next === null || typeof next === 'string')) return undefined
    const registrations = items.map((item) => checkedRegistration(this.source, item))
    return { items: registrations.filter((each) => each !== undefined), next: next ?? undefined }
  }

  async #make(name: RequestName, ...args: readonly unknown[]): Promise<unknown> {
    return this.#modules.readers.api(this.source.provider, `registrations.${name}`, ...args)
  }

  /**
   * Undefined: the module could not read the answer. Throws `provider_failed` if the answer is no JSON; does not quote the answer,
   * which may contain a secret.
   */
  async #read(name: ReaderName, answer: Buffer, ...args: readonly unknown[]): Promise<unknown> {
    const result = await this.#modules.reader.apiWithBody(this.source.provider, `registrations.${name}`, answer, args)
    if (result.kind === 'unreadable') throw this.failed('its answer is no JSON')
    return result.kind === 'read' ? result.value : undefined
  }

  /** The error if the module throws instead of making a request: its configuration is probably not complete. */
  #notMade(thrown: unknown): HoldfastError {
    const { name, provider, redact } = this.source
    const words = thrown instanceof Error && typeof thrown.message === 'string' ? inOneLine(redact(thrown.message)) : ''
    const what = `provider ${provider.name}, for source ${name}: its module cannot make the request`
    return notConfigured(clip(redact(`${what}${words === '' ? '' : `: ${words}`}`)))
  }

  /** The error text in an answer. Redacted before its white space is changed, since a secret could not be recognized after that. */
  #wordsIn(body: Buffer): string {
    // Parsing a long answer would block this thread.
    const parsed = body.length > MAX_INLINE_BYTES ? undefined : parseJson(body)
    if (parsed?.ok !== true) return ''
    const words = MESSAGE_PATHS.map((path) => valueAt(parsed.value, path)).filter((text) => typeof text === 'string')
    return inOneLine(this.source.redact([...new Set(words)].join(': ')))
  }
}

function isRequest(value: unknown): value is ReadyRequest {
  if (typeof value !== 'object' || value === null) return false
  const { method, path, query, headers } = value as Record<keyof ReadyRequest, unknown>
  if (!METHODS.has(method) || typeof path !== 'string' || !path.startsWith('/')) return false
  return [query, headers].every((part) => part === undefined || (typeof part === 'object' && part !== null))
}

const notConfigured = (message: string): HoldfastError => new HoldfastError('not_configured', message)

const inOneLine = (text: string): string => text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim()

/** Shortens a text that is already redacted: half a secret could not be recognized as one. */
const clip = (text: string): string =>
  text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH)}…`
