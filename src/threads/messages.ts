import type { HandlerDefinition } from '../domain/handler.ts'
import type { AnswerSays, RoutedReading, TaskSays } from '../pipeline/body-reader.ts'
import type { AnswerFunction, Readers } from '../pipeline/provider-readers.ts'
import type { StoredForm } from '../pipeline/read-event.ts'

/** What the service and its reading threads say to each other. */

/** The first word of each thread. */
export const READY = 'ready'

/** What a thread is given, one at a time. */
export interface Numbered<Message> {
  readonly number: number
  readonly message: Message
}

/** What it gives back, with the number of what it was given: users' code in it may say anything to the service, at any time. */
export interface Answered<Answer> {
  readonly number: number
  readonly answer: Answer
}

/** What a thread that reads long bodies is told when it starts: provider name → file URL of its module. */
export interface LongThreadData {
  readonly providerModules: Readonly<Record<string, string>>
}

export type Question =
  | {
      readonly kind: 'event'
      readonly source: { readonly name: string; readonly types: readonly string[] }
      readonly form: StoredForm
      /** Given when they have changed since the last question of this kind. */
      readonly handlers?: readonly HandlerDefinition[]
    }
  | { readonly kind: 'task'; readonly taskId: string }
  | { readonly kind: 'submitted' }
  | { readonly kind: 'fingerprint'; readonly beside: object }
  | { readonly kind: 'answered'; readonly name: AnswerFunction; readonly args?: readonly unknown[] }

/** One at a time. */
export interface ToLongThread {
  readonly provider: string
  readonly question: Question
  readonly body: Uint8Array
}

export type Answer = RoutedReading | TaskSays | AnswerSays | string | undefined

export type FromLongThread = { readonly value: Answer } | { readonly failed: string }

/** What a reader thread is asked for: a method of `Readers`, without its provider, which is the thread's own. */
export interface ReaderCall {
  readonly name: keyof Readers
  readonly args: readonly unknown[]
  /** Bytes that its result may take, as the thread hands it over. */
  readonly maxBytes: number
  /** Values that it may hold, as `hasMoreValues` counts them. */
  readonly maxValues: number
}

export type FromOwnThread =
  /** By `v8.serialize`. */
  | { readonly kind: 'read'; readonly result: Uint8Array }
  /** The kind of the error alone: a message may hold a piece of what was read. `words`: of one that read nothing that came. */
  | { readonly kind: 'failed'; readonly error: string; readonly words?: string }
  | { readonly kind: 'too_large' }
