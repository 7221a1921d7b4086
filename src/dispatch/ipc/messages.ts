import { MAX_ORIGIN_LENGTH, MAX_SENT_ANSWER_LENGTH } from '../../domain/answer.ts'
import { MAX_TIME_MS } from '../../domain/clock.ts'
import type { LogStyle } from '../../domain/config.ts'
import { HANDLER_OUTCOMES, type HandlerResult, type Work } from '../../domain/delivery.ts'
import { MAX_ERROR_DEPTH } from '../../domain/errors.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'

/**
 * The messages between the service and a handler process. They cross sockets of their own, not the `ipc` channel of Node: user
 * code can reach that channel, and an invalid message in it would throw in the thread that acknowledges.
 */

/** File descriptors of a handler process beside its standard ones, in the order of `stdio`. */
export const JOBS_FD = 3
/**
 * A socket apart from that of the jobs, so that the service can still read the last message of a process to which it can no
 * longer write.
 */
export const ANSWERS_FD = 4
/** The service's own output: log lines go straight there. */
export const LOG_FD = 5
/** The shared file of `job-progress.ts`. */
export const PROGRESS_FD = 6

/** Priority of handler processes on Linux: acknowledgements go first when the processor is short. */
export const HANDLER_NICENESS = 10

/** What a handler process loads. */
export interface ProcessData {
  readonly handlersDir: string
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  readonly logLevel: string
  readonly logStyle: LogStyle
  /** The process removes these from what handlers log. */
  readonly secrets: readonly string[]
}

/** One attempt, on its way into a handler process. Its body follows behind the message. */
export interface SentJob {
  /** Rises with each job of a process. The process starts its jobs in the order of their keys. */
  readonly key: number
  readonly work: Omit<Work, 'body' | 'deliveryId' | 'lease'>
  readonly bodyBytes: number
  /** When the process aborts the handler's signal and ends the attempt with the outcome `timeout` (ms since the epoch). */
  readonly deadlineAtMs: number
}

/** A job as the process has received it. */
export interface Job extends SentJob {
  readonly body: Buffer
}

export type ToProcess =
  | ({
      readonly kind: 'load'
      /** The process loads at the priority of acknowledgements, and lowers its priority afterwards. */
      readonly isUrgent: boolean
    } & ProcessData)
  | { readonly kind: 'jobs'; readonly jobs: readonly SentJob[] }
  /** The process answers with `pong`, unless a handler blocks it. */
  | { readonly kind: 'ping' }
  /** The service stops: abort every signal. */
  | { readonly kind: 'abort' }
  /** The service sends nothing more: write out the log and exit. */
  | { readonly kind: 'stop' }

export type FromProcess =
  | { readonly kind: 'loading'; readonly file: string }
  | { readonly kind: 'ready'; readonly handlers: readonly HandlerDefinition[] }
  | { readonly kind: 'unloadable'; readonly faults: readonly string[] }
  | { readonly kind: 'pong' }
  /** The number of log lines that the process left out because there were too many. */
  | { readonly kind: 'dropped'; readonly lines: number }
  | {
      readonly kind: 'results'
      readonly results: readonly { readonly key: number; readonly result: HandlerResult }[]
      /** Jobs that the process did not start because the service had revoked them. */
      readonly refused: readonly number[]
      /** The number of handlers that have passed their deadlines and have not returned. Each uses capacity until it returns. */
      readonly overdue: number
    }

const OUTCOMES: ReadonlySet<unknown> = new Set(HANDLER_OUTCOMES)

/**
 * Whether a message from a handler process has a valid form. User code in the process can write to the socket by its file
 * descriptor, so the service trusts a message no further than this.
 */
export function isFromProcess(message: unknown): message is FromProcess {
  if (!isObject(message)) return false
  if (message.kind === 'results')
    return isCount(message.overdue) && isListOf(isCount, message.refused) && isListOf(isResult, message.results)
  if (message.kind === 'dropped') return isCount(message.lines)
  if (message.kind === 'loading') return typeof message.file === 'string'
  if (message.kind === 'ready') return isListOf(isObject, message.handlers)
  if (message.kind === 'unloadable') return isListOf((fault) => isText(fault), message.faults)
  return message.kind === 'pong'
}

const isResult = (entry: unknown): boolean =>
  isObject(entry) &&
  isCount(entry.key) &&
  isObject(entry.result) &&
  OUTCOMES.has(entry.result.outcome) &&
  isTime(entry.result.startedAtMs) &&
  isTime(entry.result.durationMs) &&
  (entry.result.error === undefined || isText(entry.result.error)) &&
  (entry.result.afterMs === undefined || isCount(entry.result.afterMs)) &&
  (entry.result.quarantine === undefined || isListOf((reason) => isText(reason), entry.result.quarantine)) &&
  (entry.result.judgement === undefined || isText(entry.result.judgement)) &&
  (entry.result.detail === undefined || isDetail(entry.result.detail, 0)) &&
  (entry.result.answer === undefined || isAnswer(entry.result.answer))

const isDetail = (detail: unknown, depth: number): boolean =>
  isObject(detail) &&
  depth <= MAX_ERROR_DEPTH &&
  isText(detail.name) &&
  isText(detail.message) &&
  (detail.code === undefined || isText(detail.code)) &&
  (detail.stack === undefined || isListOf((frame) => isText(frame), detail.stack)) &&
  (detail.cause === undefined || isDetail(detail.cause, depth + 1)) &&
  (detail.errors === undefined || isListOf((part) => isDetail(part, depth + 1), detail.errors))

const isAnswer = (answer: unknown): boolean =>
  isObject(answer) &&
  isText(answer.from, MAX_ORIGIN_LENGTH) &&
  isCount(answer.status) &&
  Number(answer.status) <= MAX_STATUS &&
  isTime(answer.durationMs) &&
  // With the mark that there is more.
  (answer.text === undefined || isText(answer.text, MAX_SENT_ANSWER_LENGTH + 1))

const MAX_STATUS = 999
const MAX_TEXT_LENGTH = 16_384
const MAX_LIST_LENGTH = 4_096

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
const isTime = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= MAX_TIME_MS
const isText = (value: unknown, maxLength = MAX_TEXT_LENGTH): boolean =>
  typeof value === 'string' && value.length <= maxLength
const isListOf = (isPart: (part: unknown) => boolean, value: unknown): boolean =>
  Array.isArray(value) && value.length <= MAX_LIST_LENGTH && value.every((part) => isPart(part))
