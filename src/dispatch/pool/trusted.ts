import { MAX_ERROR_DEPTH } from '../../domain/errors.ts'
import type { FromProcess, JobResult } from '../protocol.ts'

const OUTCOMES: ReadonlySet<unknown> = new Set<JobResult['outcome']>([
  'succeeded',
  'failed',
  'rejected',
  'retry_after',
  'timeout',
])

/**
 * Whether a message is one that a handler process sends. User code can reach the channel, by its number if by nothing else: what
 * comes out of it is believed no further than this.
 */
export function isFromProcess(message: unknown): message is FromProcess {
  if (!isObject(message)) return false
  if (message.kind === 'results')
    return isCount(message.overdue) && isListOf(isCount, message.refused) && isListOf(isResult, message.results)
  if (message.kind === 'dropped') return isCount(message.lines)
  if (message.kind === 'loading') return typeof message.file === 'string'
  if (message.kind === 'ready') return isListOf(isObject, message.handlers)
  if (message.kind === 'unloadable') return isListOf(isText, message.faults)
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
  (entry.result.quarantine === undefined || isListOf(isText, entry.result.quarantine)) &&
  (entry.result.judgement === undefined || isText(entry.result.judgement)) &&
  (entry.result.detail === undefined || isDetail(entry.result.detail, 0))

const isDetail = (detail: unknown, depth: number): boolean =>
  isObject(detail) &&
  depth <= MAX_ERROR_DEPTH &&
  isText(detail.name) &&
  isText(detail.message) &&
  (detail.code === undefined || isText(detail.code)) &&
  (detail.stack === undefined || isListOf(isText, detail.stack)) &&
  (detail.cause === undefined || isDetail(detail.cause, depth + 1)) &&
  (detail.errors === undefined || isListOf((part) => isDetail(part, depth + 1), detail.errors))

/** The range of a Date. */
const MAX_TIME_MS = 8.64e15
const MAX_TEXT_LENGTH = 16_384
const MAX_LIST_LENGTH = 4_096

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
const isTime = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= MAX_TIME_MS
const isText = (value: unknown): boolean => typeof value === 'string' && value.length <= MAX_TEXT_LENGTH
const isListOf = (isPart: (part: unknown) => boolean, value: unknown): boolean =>
  Array.isArray(value) && value.length <= MAX_LIST_LENGTH && value.every((part) => isPart(part))
