import { HOUR_MS } from '../domain/clock.ts'
import type { Problem } from '../domain/problem.ts'
import { MAX_STUCK_COUNTED } from '../domain/task-store.ts'
import { type Check, counted, RECENT_HOURS, sum } from './check.ts'

export const sourcesSilent: Check = ({ sources, health }) =>
  [...health].flatMap(([source, { silentSinceMs, usualGapMs }]): readonly Problem[] => {
    const state = sources.get(source)
    const sinceMs = silentSinceMs ?? state?.silentSinceMs
    const canAskProvider = typeof state?.breaker === 'string'
    if (sinceMs === undefined) return []
    return [
      {
        problem: 'source_silent',
        severity: 'warning',
        summary: 'no webhook has come for longer than expected',
        count: 1,
        sinceMs,
        ...(usualGapMs !== undefined && { cause: `usually one every ${Math.ceil(usualGapMs / 60_000)} min` }),
        source,
        command: canAskProvider
          ? `holdfast registrations list --source ${source}`
          : `holdfast events list --source ${source} --limit 5`,
      },
    ]
  })

export const refusals: Check = ({ health, recent }) =>
  [...health].flatMap(([source, { refusingSinceMs, refusingReason }]): readonly Problem[] => {
    if (refusingSinceMs === undefined) return []
    const count = Math.max(1, sum([...(recent.get(source)?.refused.values() ?? [])]))
    return [
      {
        problem: 'refusals',
        severity: 'critical',
        summary: `${counted(count, 'request')} refused in ${RECENT_HOURS} hours, and hardly any accepted now`,
        count,
        sinceMs: refusingSinceMs,
        ...(refusingReason !== undefined && { cause: refusingReason }),
        source,
        command: 'holdfast sources',
      },
    ]
  })

export const breakersOpen: Check = ({ sources }) =>
  [...sources]
    .filter(([, { breaker }]) => breaker !== null && breaker !== 'closed')
    .map(([source, { outage }]) => ({
      problem: 'breaker_open',
      severity: 'warning',
      summary: 'calls to the provider fail, and are paused',
      count: 1,
      source,
      ...(outage !== undefined && { cause: outage.cause, sinceMs: outage.sinceMs }),
      command: `holdfast tasks list --source ${source} --status pending`,
    }))

export const quarantined: Check = ({ quarantined: counts }) =>
  [...counts]
    .filter(([, count]) => count > 0)
    .map(([source, count]) => ({
      problem: 'events_quarantined',
      severity: 'warning',
      summary: `${counted(count, 'event')} quarantined in ${RECENT_HOURS} hours`,
      count,
      source,
      command: `holdfast events list --status quarantined --source ${source}`,
    }))

export const tasksStuck: Check = ({ sources }) =>
  [...sources].flatMap(([source, { stuck }]): readonly Problem[] =>
    stuck === undefined
      ? []
      : [
          {
            problem: 'tasks_stuck',
            severity: 'warning',
            summary: `${stuck.count === MAX_STUCK_COUNTED ? 'at least ' : ''}${counted(stuck.count, 'task')} should be over for an hour, and the polls fail`,
            count: stuck.count,
            sinceMs: stuck.staleAtMs,
            source,
            command: `holdfast tasks list --status pending --source ${source}`,
          },
        ],
  )

/** Nothing brings these tasks back, so after an hour without another one they are only to be known. */
export const tasksExpired: Check = ({ expired, nowMs }) =>
  [...expired].map(([source, { count, lastAtMs }]) => ({
    problem: 'tasks_expired',
    severity: nowMs - lastAtMs <= HOUR_MS ? 'warning' : 'notice',
    summary: `${counted(count, 'task')} expired in ${RECENT_HOURS} hours`,
    count,
    lastMs: lastAtMs,
    source,
    command: `holdfast tasks list --status expired --source ${source}`,
  }))

export const schemaDrift: Check = ({ drift }) =>
  [...Map.groupBy(drift, ({ source }) => source)].map(([source, entries]) => ({
    problem: 'schema_drift',
    severity: 'notice',
    summary: `${counted(entries.length, 'change')} in the shape of its events in ${RECENT_HOURS} hours`,
    count: entries.length,
    sinceMs: Math.min(...entries.map(({ atMs }) => atMs)),
    cause: `${entries[0]?.type} ${entries[0]?.path}: ${entries[0]?.what}`,
    source,
    command: `holdfast drift --source ${source}`,
  }))
