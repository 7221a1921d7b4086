import type { Logger } from 'pino'
import { HoldfastError, isHoldfastError, messageOf } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { MAX_INLINE_BYTES } from '../domain/limits.ts'
import type { Provider } from '../domain/provider.ts'
import { SupervisedThread, ThreadFault, type ThreadJob } from '../threads/supervised-thread.ts'
import type { ApiReading, BodyReader, RoutedAnswer, RoutedEvent } from './body-reader.ts'
import type { AnswerFunction } from './provider-readers.ts'
import { type ReadContext, unreadableEvent } from './read-event.ts'
import type { PolledTask } from './read-poll-answer.ts'

/** Start data of a thread that reads long bodies: provider name → file URL of its module. */
export interface LongThreadData {
  readonly providerModules: Readonly<Record<string, string>>
}

/** The part of a request whose event the thread also routes. */
interface Routed {
  readonly source: { readonly name: string; readonly types: readonly string[] }
  /** The current handlers. Absent: the thread has them already. */
  readonly handlers?: readonly HandlerDefinition[]
}

type ReadingRequest =
  | ({ readonly kind: 'event'; readonly context: ReadContext } & Routed)
  | ({ readonly kind: 'pollAnswer'; readonly polled: PolledTask } & Routed)
  | { readonly kind: 'taskId' }
  | { readonly kind: 'fingerprint'; readonly beside: object }
  | { readonly kind: 'apiWithBody'; readonly name: AnswerFunction; readonly args?: readonly unknown[] }

/** A message to a thread, which reads one body at a time. */
export interface ToLongThread {
  readonly provider: string
  readonly question: ReadingRequest
  readonly body: Uint8Array
}

export type ReadingResult = RoutedEvent | RoutedAnswer | ApiReading | string | undefined

export type FromLongThread = { readonly value: ReadingResult } | { readonly failed: string }

/**
 * Bytes of the longest body that the inline reader reads if the provider's module is a user's. That reader copies the parsed values
 * between threads, which would take too long for a longer body: one thread then reads and routes it.
 */
const MAX_ISOLATED_INLINE_BYTES = 16_384
/** Bytes of bodies that wait to be read; beyond it the reader rejects with `unavailable`. */
const MAX_WAITING_BYTES = 128 * 1024 * 1024
/** How long reading one body may take: a provider's module may hang. */
const MAX_READING_MS = 10_000
/** How long the start of a thread may take. */
const MAX_START_MS = 15_000
/** A thread ends after this time without work. */
const IDLE_MS = 60_000
/** Enough for the parsed value of a body of 64 MiB. */
const HEAP = { maxMiB: 2_048, limitMiB: 4_096 }

interface LongBodyReaderOptions {
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  /** The providers whose modules contain a user's code. */
  readonly isolated: { has(provider: Provider): boolean }
  /** Reads short bodies, in the calling thread. */
  readonly inline: BodyReader
  /** The handlers that events are routed to; the same array until they change. */
  readonly handlers: () => readonly HandlerDefinition[]
  /** Why events cannot be routed now; empty if they can. */
  readonly faults: () => readonly string[]
  /** Receives what users' code writes to the console. */
  readonly log: Logger
  readonly maxReadingMs?: number
}

interface LongBodyReader extends BodyReader {
  close(): Promise<void>
}

/** The queue that a body waits in. A sender waits for the acknowledgement of its webhook; answers to polls and replays can wait longer. */
type BodyQueue = 'webhooks' | 'rest'

/** Reads short bodies in the calling thread, and long bodies in `LongBodyThreads`. */
export function createLongBodyReader({
  inline,
  faults,
  maxReadingMs = MAX_READING_MS,
  ...options
}: LongBodyReaderOptions): LongBodyReader {
  const threads = new LongBodyThreads({ ...options, maxReadingMs })

  /** Why a body could not be read, as a reason of a quarantined event. */
  function reasonOf(error: unknown): string {
    const late = `it took more than ${maxReadingMs} ms`
    const ended = (code?: string) => `the thread that read it ended${code === undefined ? '' : ` (${code})`}`
    const isFault = error instanceof ThreadFault
    return `the body could not be read: ${!isFault ? messageOf(error) : error.kind === 'late' ? late : ended(error.code)}`
  }

  const isReadInline = (provider: Provider, body: Uint8Array): boolean =>
    isShort(body) && !(options.isolated.has(provider) && body.length > MAX_ISOLATED_INLINE_BYTES)

  return {
    async event(source, context, body) {
      const { name, types, provider } = source
      if (isReadInline(provider, body)) return inline.event(source, context, body)
      const [fault] = faults()
      if (fault !== undefined) throw new HoldfastError('unavailable', fault)
      const isNew = context.id === ''
      const question: ReadingRequest = { kind: 'event', source: { name, types }, context }
      try {
        return await threads.ask<RoutedEvent>(question, provider, body, isNew ? 'webhooks' : 'rest')
      } catch (error) {
        if (isHoldfastError(error)) throw error
        const reading = unreadableEvent(body, reasonOf(error), isNew ? undefined : context.id)
        return { reading, routing: { status: 'quarantined', handlers: [], reasons: reading.reasons } }
      }
    },

    async pollAnswer(source, polled, body) {
      const { name, types, provider } = source
      if (isReadInline(provider, body)) return inline.pollAnswer(source, polled, body)
      // Only an answer that ends its task needs the handlers.
      const [fault] = faults()
      const question: ReadingRequest = { kind: 'pollAnswer', source: { name, types }, polled }
      const answer = await threads
        .ask<RoutedAnswer>(question, provider, body)
        .catch((error: unknown): RoutedAnswer => ({ kind: 'nothing', reason: reasonOf(error) }))
      if (answer.kind === 'ended' && fault !== undefined) throw new HoldfastError('unavailable', fault)
      return answer
    },

    async taskId(provider, body) {
      if (isShort(body)) return inline.taskId(provider, body)
      return threads.ask<string | undefined>({ kind: 'taskId' }, provider, body).catch(() => undefined)
    },

    async apiWithBody(provider, name, body, args) {
      if (isShort(body)) return inline.apiWithBody(provider, name, body, args)
      const question: ReadingRequest = { kind: 'apiWithBody', name, ...(args !== undefined && { args }) }
      return threads.ask<ApiReading>(question, provider, body).catch(() => ({ kind: 'nothing' }))
    },

    async fingerprint(provider, beside, body) {
      if (isShort(body)) return inline.fingerprint(provider, beside, body)
      return threads.ask<string | undefined>({ kind: 'fingerprint', beside }, provider, body).catch(() => undefined)
    },

    close: () => threads.close(),
  }
}

const isShort = ({ length }: Uint8Array): boolean => length <= MAX_INLINE_BYTES

type LongThreadOptions = Pick<LongBodyReaderOptions, 'providerModules' | 'isolated' | 'handlers' | 'log'> & {
  readonly maxReadingMs: number
}

/**
 * One thread for webhooks and one for everything else, and another such pair for each provider whose module contains a user's
 * code: that code may hang or end its thread, and then only bodies of the same provider wait.
 */
class LongBodyThreads {
  readonly #options: LongThreadOptions
  readonly #threads = new Map<string, Thread>()
  /** The handlers that were sent to each thread last. */
  readonly #known = new WeakMap<object, readonly HandlerDefinition[]>()

  constructor(options: LongThreadOptions) {
    this.#options = options
  }

  async ask<Result extends ReadingResult>(
    question: ReadingRequest,
    provider: Provider,
    body: Uint8Array,
    queue: BodyQueue = 'rest',
  ): Promise<Result> {
    const answer = await this.#threadOf(provider, queue).run({
      size: body.length,
      message: (worker) => sent({ provider: provider.name, question: this.#withHandlers(worker, question), body }),
    })
    if ('failed' in answer) throw new Error(answer.failed)
    return answer.value as Result
  }

  async close(): Promise<void> {
    await Promise.all([...this.#threads.values()].map((thread) => thread.close()))
  }

  #threadOf(provider: Provider, queue: BodyQueue): Thread {
    const isIsolated = this.#options.isolated.has(provider)
    const key = isIsolated ? `${queue} ${provider.name}` : queue
    const thread = this.#threads.get(key) ?? openThread(this.#options, isIsolated ? provider.name : undefined)
    this.#threads.set(key, thread)
    return thread
  }

  /** Adds the handlers to a routed question if the thread does not have the current ones. */
  #withHandlers(worker: object, question: ReadingRequest): ReadingRequest {
    const current = this.#options.handlers()
    if (!('source' in question) || this.#known.get(worker) === current) return question
    this.#known.set(worker, current)
    return { ...question, handlers: current }
  }
}

type Thread = SupervisedThread<FromLongThread>

/** `owner`: the provider whose module is a user's and runs in the thread. */
function openThread({ providerModules, log, maxReadingMs }: LongThreadOptions, owner: string | undefined): Thread {
  return new SupervisedThread({
    name: `the reader of long bodies${owner === undefined ? '' : ` of provider ${owner}`}`,
    script: new URL('./long-body-thread.ts', import.meta.url),
    worker: {
      name: 'holdfast-reading',
      workerData: { providerModules } satisfies LongThreadData,
    },
    heap: HEAP,
    maxStartMs: MAX_START_MS,
    maxWorkMs: maxReadingMs,
    maxWaiting: MAX_WAITING_BYTES,
    idleMs: IDLE_MS,
    log,
    about: owner === undefined ? {} : { provider: owner },
  })
}

/** The message, with a copy of the body unless the body is in shared memory: the caller still needs the bytes to store them. */
function sent(message: ToLongThread): ReturnType<ThreadJob['message']> {
  if (message.body.buffer instanceof SharedArrayBuffer) return { message }
  const body = new Uint8Array(message.body)
  return { message: { ...message, body }, transferred: [body.buffer] }
}
