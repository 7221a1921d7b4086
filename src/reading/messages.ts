import type { AnswerSays, RoutedReading, TaskSays } from '../domain/body-reader.ts'
import type { HandlerRegistration } from '../domain/handler.ts'
import type { StoredForm } from '../domain/read-event.ts'
import type { AnswerFunction } from '../domain/readers.ts'

/** What the thread is told when it starts: provider name → file URL of its module. */
export interface ThreadData {
  readonly providerModules: Readonly<Record<string, string>>
}

export type Question =
  | {
      readonly kind: 'event'
      readonly source: { readonly name: string; readonly types: readonly string[] }
      readonly form: StoredForm
      /** Given when they have changed since the last question of this kind. */
      readonly registrations?: readonly HandlerRegistration[]
    }
  | { readonly kind: 'task'; readonly taskId: string }
  | { readonly kind: 'submitted' }
  | { readonly kind: 'fingerprint'; readonly beside: object }
  | { readonly kind: 'answered'; readonly name: AnswerFunction; readonly args?: readonly unknown[] }

/** One at a time. */
export interface ToThread {
  readonly provider: string
  readonly question: Question
  readonly body: Uint8Array
}

export type Answer = RoutedReading | TaskSays | AnswerSays | string | undefined

export type FromThread = { readonly ready: true } | { readonly value: Answer } | { readonly failed: string }
