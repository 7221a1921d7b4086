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
    return isCount(message.overdue) && Array.isArray(message.results) && message.results.every(isResult)
  if (message.kind === 'dropped') return isCount(message.lines)
  if (message.kind === 'loading') return typeof message.file === 'string'
  if (message.kind === 'ready') return Array.isArray(message.registrations)
  if (message.kind === 'unloadable') return Array.isArray(message.faults)
  return message.kind === 'pong'
}

const isResult = (entry: unknown): boolean =>
  isObject(entry) &&
  isCount(entry.key) &&
  isObject(entry.result) &&
  OUTCOMES.has(entry.result.outcome) &&
  isTime(entry.result.startedAtMs) &&
  isTime(entry.result.durationMs) &&
  isAbsentOr('string', entry.result.error) &&
  isAbsentOr('number', entry.result.afterMs) &&
  (entry.result.detail === undefined || isObject(entry.result.detail))

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
const isTime = (value: unknown): boolean => typeof value === 'number' && value >= 0
const isAbsentOr = (type: 'string' | 'number', value: unknown): boolean => value === undefined || typeof value === type
