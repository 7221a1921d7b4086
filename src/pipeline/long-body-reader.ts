import type { Logger } from 'pino'
import { HoldfastError, isHoldfastError, messageOf } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { MAX_INLINE_BYTES } from '../domain/limits.ts'
import type { Provider } from '../domain/provider.ts'
import { type Job, SupervisedThread, ThreadFault } from '../threads/supervised-thread.ts'
import type { ApiReading, BodyReader, RoutedAnswer, RoutedEvent } from './body-reader.ts'
import type { AnswerFunction } from './provider-readers.ts'
import { type ReadContext, unreadableEvent } from './read-event.ts'
import type { PolledTask } from './read-poll-answer.ts'

/** What a thread that reads long bodies is told when it starts: provider name → file URL of its module. */
export interface LongThreadData {
  readonly providerModules: Readonly<Record<string, string>>
}

/** What is read for a source's handlers, and routed to them. */
interface Routed {
  readonly source: { readonly name: string; readonly types: readonly string[] }
  /** Given when they have changed since the last question that is routed. */
  readonly handlers?: readonly HandlerDefinition[]
}

export type Question =
  | ({ readonly kind: 'event'; readonly context: ReadContext } & Routed)
  | ({ readonly kind: 'pollAnswer'; readonly polled: PolledTask } & Routed)
  | { readonly kind: 'taskId' }
  | { readonly kind: 'fingerprint'; readonly beside: object }
  | { readonly kind: 'apiWithBody'; readonly name: AnswerFunction; readonly args?: readonly unknown[] }

/** One at a time. */
export interface ToLongThread {
  readonly provider: string
  readonly question: Question
  readonly body: Uint8Array
}

export type Answer = RoutedEvent | RoutedAnswer | ApiReading | string | undefined

export type FromLongThread = { readonly value: Answer } | { readonly failed: string }

/** A longer body for a user's own code is read and routed by one thread: what that made of it would have to be taken over, value by value. */
const MAX_OWN_INLINE_BYTES = 16_384
/** Bytes that wait to be read; past it, `unavailable`. */
const MAX_WAITING_BYTES = 128 * 1024 * 1024
/** The longest that the reading of one body may take: a provider's module may hang. */
const MAX_READING_MS = 10_000
/** The same until the thread has started. */
const MAX_START_MS = 15_000
/** A thread that has nothing to read ends after so long: most services never need one. */
const IDLE_MS = 60_000
/** A body of 64 MiB, parsed. */
const MAX_HEAP_MIB = 2_048

export interface LongBodyReaderOptions {
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  /** The providers that are read by code of a user's own. */
  readonly own: { has(provider: Provider): boolean }
  /** Reads short ones. */
  readonly inline: BodyReader
  /** Those that events are routed by; the same array, until they change. */
  readonly handlers: () => readonly HandlerDefinition[]
  /** Why nothing can be routed; empty: it can. */
  readonly faults: () => readonly string[]
  /** Takes what users' code writes to the console. */
  readonly log: Logger
  readonly maxReadingMs?: number
}

export interface LongBodyReader extends BodyReader {
  close(): Promise<void>
}

/** A sender waits for the acknowledgement of a webhook; an answer to a poll and a replay can wait. */
type Line = 'webhooks' | 'rest'

/** Reads short bodies in the thread that asks, and long ones in `LongBodyThreads`. */
export function createLongBodyReader({
  inline,
  faults,
  maxReadingMs = MAX_READING_MS,
  ...options
}: LongBodyReaderOptions): LongBodyReader {
  const threads = new LongBodyThreads({ ...options, maxReadingMs })

  /** Why nothing was read. */
  function reasonOf(error: unknown): string {
    const late = `it took more than ${maxReadingMs} ms`
    const ended = (code?: string) => `the thread that read it ended${code === undefined ? '' : ` (${code})`}`
    const isFault = error instanceof ThreadFault
    return `the body could not be read: ${!isFault ? messageOf(error) : error.kind === 'late' ? late : ended(error.code)}`
  }

  const isHere = (provider: Provider, body: Uint8Array): boolean =>
    isShort(body) && !(options.own.has(provider) && body.length > MAX_OWN_INLINE_BYTES)

  return {
    async event(source, context, body) {
      const { name, types, provider } = source
      if (isHere(provider, body)) return inline.event(source, context, body)
      const [fault] = faults()
      if (fault !== undefined) throw new HoldfastError('unavailable', fault)
      const isNew = context.id === ''
      const question: Question = { kind: 'event', source: { name, types }, context }
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
      if (isHere(provider, body)) return inline.pollAnswer(source, polled, body)
      // A task that has not ended is not routed.
      const [fault] = faults()
      const question: Question = { kind: 'pollAnswer', source: { name, types }, polled }
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
      const question: Question = { kind: 'apiWithBody', name, ...(args !== undefined && { args }) }
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

type ThreadOptions = Pick<LongBodyReaderOptions, 'providerModules' | 'own' | 'handlers' | 'log'> & {
  readonly maxReadingMs: number
}

/**
 * One thread for webhooks and one for all else, and such a pair for each provider that is read by a user's own code: that
 * code may hang in its thread, or end it, with what waits there.
 */
class LongBodyThreads {
  readonly #options: ThreadOptions
  readonly #threads = new Map<string, Thread>()
  /** The handlers that each thread knows. */
  readonly #known = new WeakMap<object, readonly HandlerDefinition[]>()

  constructor(options: ThreadOptions) {
    this.#options = options
  }

  async ask<Result extends Answer>(
    question: Question,
    provider: Provider,
    body: Uint8Array,
    line: Line = 'rest',
  ): Promise<Result> {
    const answer = await this.#threadOf(provider, line).run({
      size: body.length,
      message: (worker) => sent({ provider: provider.name, question: this.#withHandlers(worker, question), body }),
    })
    if ('failed' in answer) throw new Error(answer.failed)
    return answer.value as Result
  }

  async close(): Promise<void> {
    await Promise.all([...this.#threads.values()].map((thread) => thread.close()))
  }

  #threadOf(provider: Provider, line: Line): Thread {
    const isOwn = this.#options.own.has(provider)
    const key = isOwn ? `${line} ${provider.name}` : line
    const thread = this.#threads.get(key) ?? openThread(this.#options, isOwn ? provider.name : undefined)
    this.#threads.set(key, thread)
    return thread
  }

  /** A question about an event takes the handlers along, where they are not those that the thread knows. */
  #withHandlers(worker: object, question: Question): Question {
    const current = this.#options.handlers()
    if (!('source' in question) || this.#known.get(worker) === current) return question
    this.#known.set(worker, current)
    return { ...question, handlers: current }
  }
}

type Thread = SupervisedThread<FromLongThread>

/** `own`: the provider whose code runs in it. */
function openThread({ providerModules, log, maxReadingMs }: ThreadOptions, own: string | undefined): Thread {
  return new SupervisedThread({
    name: `the reader of long bodies${own === undefined ? '' : ` of provider ${own}`}`,
    script: new URL('./long-body-thread.ts', import.meta.url),
    worker: {
      name: 'holdfast-reading',
      workerData: { providerModules } satisfies LongThreadData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    },
    maxStartMs: MAX_START_MS,
    maxWorkMs: maxReadingMs,
    maxWaiting: MAX_WAITING_BYTES,
    idleMs: IDLE_MS,
    log,
    about: own === undefined ? {} : { provider: own },
  })
}

/** The bytes are still to be kept: where they are not shared, a copy goes over. */
function sent(message: ToLongThread): ReturnType<Job['message']> {
  if (message.body.buffer instanceof SharedArrayBuffer) return { message }
  const body = new Uint8Array(message.body)
  return { message: { ...message, body }, transferred: [body.buffer] }
}
