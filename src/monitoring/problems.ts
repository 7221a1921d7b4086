import { PROBLEMS, type Problem, SEVERITIES } from '../domain/problem.ts'
import { type Check, counted, type Observed, sum } from './check.ts'
import { backlog, handlersFailing, handlersMissing, paused } from './handler-problems.ts'
import {
  breakersOpen,
  quarantined,
  refusals,
  schemaDrift,
  sourcesSilent,
  tasksExpired,
  tasksStuck,
} from './source-problems.ts'

const MIB = 1024 * 1024
/** Less free space on the disk of the store is low; and critical below the smaller number. */
const LOW_DISK_BYTES = 1024 * MIB
const CRITICAL_DISK_BYTES = 128 * MIB
/** Causes of dead letters that are a problem each; all further ones are one problem together. */
const MAX_SINGLE_CAUSES = 5

/** The problems of the service, the worst first. */
export const problemsOf = (observed: Observed): readonly Problem[] =>
  CHECKS.flatMap((check) => check(observed)).toSorted(
    (one, other) =>
      SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity) ||
      PROBLEMS.indexOf(one.problem) - PROBLEMS.indexOf(other.problem) ||
      other.count - one.count,
  )

const storeFailing: Check = ({ storeFaults }) =>
  faultsOf(storeFaults, { problem: 'store_failing', severity: 'critical', summary: 'events cannot be stored' })

const routesUnknown: Check = ({ routeFaults }) =>
  faultsOf(routeFaults, {
    problem: 'routes_unknown',
    severity: 'critical',
    summary: 'events cannot be routed to handlers',
  })

const storeDamaged: Check = ({ storeWarnings }) =>
  faultsOf(storeWarnings, { problem: 'store_damaged', severity: 'warning', summary: 'the store is damaged' })

const retentionHeld: Check = ({ retentionWarnings }) =>
  faultsOf(retentionWarnings, {
    problem: 'retention_held',
    severity: 'warning',
    summary: 'old events are not deleted',
    command: 'holdfast retention show',
  })

function faultsOf(faults: readonly string[], problem: Omit<Problem, 'count' | 'cause'>): readonly Problem[] {
  return faults.length === 0 ? [] : [{ ...problem, count: faults.length, cause: faults.join('; ') }]
}

const diskLow: Check = ({ size }) => {
  const free = size?.freeBytes
  if (free === undefined || free >= LOW_DISK_BYTES) return []
  return [
    {
      problem: 'disk_low',
      severity: free < CRITICAL_DISK_BYTES ? 'critical' : 'warning',
      summary: `${Math.floor(free / MIB)} MiB are left on the disk of the store`,
      count: 1,
    },
  ]
}

const clockOff: Check = ({ clockOffSeconds }) =>
  clockOffSeconds === 0
    ? []
    : [
        {
          problem: 'clock_off',
          severity: 'critical',
          summary: `the clock is ${Math.abs(clockOffSeconds)} s ${clockOffSeconds > 0 ? 'ahead' : 'behind'}`,
          count: 1,
          cause: "the senders' signed times say so",
        },
      ]

const reloadFailed: Check = ({ lastReload: { refused } }) =>
  refused === undefined
    ? []
    : faultsOf(refused.faults, {
        problem: 'reload_failed',
        severity: 'warning',
        summary: 'the last reload was refused; the configuration before it is in use',
        sinceMs: refused.sinceMs,
        command: 'holdfast reload',
      })

const draining: Check = ({ isDraining }) =>
  isDraining
    ? [
        {
          problem: 'draining',
          severity: 'notice',
          summary: 'this process claims no work: an operator drains it',
          count: 1,
          command: 'holdfast drain --off',
        },
      ]
    : []

/** The causes with most deaths one by one, then all other dead letters. */
const deadLetters: Check = ({ counts, deadCauses }) => {
  const told = deadCauses.slice(0, MAX_SINGLE_CAUSES).map(
    ({ id, signature, handler, source, count, isCapped, firstAtMs }): Problem => ({
      problem: 'dead_letters',
      severity: 'warning',
      summary: `${isCapped ? 'more than ' : ''}${counted(count, 'dead letter')}`,
      count,
      sinceMs: firstAtMs,
      cause: signature,
      causeId: id,
      source,
      handler,
      command: `holdfast dead list --cause ${id}`,
    }),
  )
  const isAllCounted = deadCauses.every(({ isCapped }) => !isCapped)
  const others = isAllCounted
    ? (counts?.deliveries.dead ?? 0) - sum(told.map(({ count }) => count))
    : sum(deadCauses.slice(MAX_SINGLE_CAUSES).map(({ count }) => count))
  if (others <= 0) return told
  const summary = counted(others, told.length === 0 ? 'dead letter' : 'other dead letter')
  return [
    ...told,
    { problem: 'dead_letters', severity: 'warning', summary, count: others, command: 'holdfast dead list' },
  ]
}

/** A part whose trouble an operator should see adds its check here. */
const CHECKS: readonly Check[] = [
  storeFailing,
  diskLow,
  routesUnknown,
  handlersMissing,
  clockOff,
  storeDamaged,
  refusals,
  sourcesSilent,
  backlog,
  handlersFailing,
  deadLetters,
  breakersOpen,
  quarantined,
  tasksStuck,
  tasksExpired,
  retentionHeld,
  reloadFailed,
  schemaDrift,
  paused,
  draining,
]
