import type { Logger } from 'pino'
import type { AnswerSays, BodyReader, RoutedReading, TaskSays } from '../domain/body-reader.ts'
import { HoldfastError, isHoldfastError, messageOf } from '../domain/errors.ts'
import type { HandlerRegistration } from '../domain/handler.ts'
import { MAX_INLINE_BYTES } from '../domain/limits.ts'
import type { Provider } from '../domain/provider.ts'
import { unread } from '../domain/read-event.ts'
import { BodyThread } from './body-thread.ts'
import type { Question } from './messages.ts'

export interface ReaderOptions {
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  /** The providers that are read by code of a user's own. */
  readonly own: { has(provider: Provider): boolean }
  /** Reads short ones. */
  readonly here: BodyReader
  /** Those that events are routed by; the same array, until they change. */
  readonly registrations: () => readonly HandlerRegistration[]
  /** Why nothing can be routed; empty: it can. */
  readonly faults: () => readonly string[]
  /** Takes what users' code writes to the console. */
  readonly log: Logger
  readonly maxReadingMs?: number
}

export interface OpenReader extends BodyReader {
  close(): Promise<void>
}

/** Of those that a body is for: a sender waits for its acknowledgement; nobody waits for an answer to a poll, or a replay. */
type Line = 'webhooks' | 'rest'

/**
 * Reads short bodies in the thread that asks, and long ones in threads of their own: one for webhooks and one for all else, and
 * such a pair for each provider that is read by a user's own code, which may hang in its thread, or end it, with what waits there.
 */
export function createReader({ here, registrations, faults, ...options }: ReaderOptions): OpenReader {
  const threads = new Map<string, BodyThread>()
  const threadOf = (provider: Provider, line: Line): BodyThread => {
    const key = options.own.has(provider) ? `${line} ${provider.name}` : line
    const known = threads.get(key)
    if (known !== undefined) return known
    const thread = new BodyThread({ providerModules: options.providerModules }, options.log, options.maxReadingMs)
    threads.set(key, thread)
    return thread
  }
  /** What each thread knows. */
  const told = new WeakMap<object, readonly HandlerRegistration[]>()

  const asked =
    (question: Extract<Question, { kind: 'event' }>) =>
    (worker: object): Question => {
      const known = registrations()
      if (told.get(worker) === known) return question
      told.set(worker, known)
      return { ...question, registrations: known }
    }

  const isShort = ({ length }: Uint8Array): boolean => length <= MAX_INLINE_BYTES

  return {
    async event(source, form, body) {
      if (isShort(body)) return here.event(source, form, body)
      const [fault] = faults()
      if (fault !== undefined) throw new HoldfastError('unavailable', fault)
      const { name, types, provider } = source
      const question = asked({ kind: 'event', source: { name, types }, form })
      try {
        const thread = threadOf(provider, form.id === '' ? 'webhooks' : 'rest')
        return (await thread.ask(provider.name, question, body)) as RoutedReading
      } catch (error) {
        if (isHoldfastError(error)) throw error
        const reading = unread(body, unreadBody(error), form.id === '' ? undefined : form.id)
        return { reading, routing: { status: 'quarantined', handlers: [], reasons: reading.ok ? [] : reading.reasons } }
      }
    },

    async task(provider, taskId, body) {
      if (isShort(body)) return here.task(provider, taskId, body)
      try {
        return (await threadOf(provider, 'rest').ask(provider.name, () => ({ kind: 'task', taskId }), body)) as TaskSays
      } catch (error) {
        return { kind: 'nothing', reason: unreadBody(error) }
      }
    },

    async submitted(provider, body) {
      if (isShort(body)) return here.submitted(provider, body)
      try {
        return (await threadOf(provider, 'rest').ask(provider.name, () => ({ kind: 'submitted' }), body)) as
          | string
          | undefined
      } catch {
        return undefined
      }
    },

    async answered(provider, name, body, args) {
      if (isShort(body)) return here.answered(provider, name, body, args)
      const question: Question = { kind: 'answered', name, ...(args !== undefined && { args }) }
      try {
        return (await threadOf(provider, 'rest').ask(provider.name, () => question, body)) as AnswerSays
      } catch {
        return { kind: 'nothing' }
      }
    },

    async fingerprint(provider, beside, body) {
      if (isShort(body)) return here.fingerprint(provider, beside, body)
      try {
        const question: Question = { kind: 'fingerprint', beside }
        return (await threadOf(provider, 'rest').ask(provider.name, () => question, body)) as string | undefined
      } catch {
        return undefined
      }
    },

    async close() {
      await Promise.all([...threads.values()].map((thread) => thread.close()))
    },
  }
}

const unreadBody = (error: unknown): string => `the body could not be read: ${messageOf(error)}`
