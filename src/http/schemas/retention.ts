import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import type { RetentionReport, RetentionState } from '../../domain/retention.ts'
import { Nullable, Time } from './schema.ts'

export const RetentionStateSchema = Type.Object({
  held: Type.Boolean({ description: 'True: no event is deleted, because the clock is doubted' }),
  clock: Time("What the store's clock says"),
  last_known: Time('When that clock was last trusted'),
  steady_hours: Nullable(
    Type.Integer(),
    'How many hours a doubted clock has run steadily; after 24 it is trusted. Null: the clock is trusted',
  ),
})
export type RetentionStateJson = Static<typeof RetentionStateSchema>

export const RetentionReportSchema = Type.Object({
  ...RetentionStateSchema.properties,
  retention_days: Type.Integer({ description: 'RETENTION_DAYS; 0: for ever' }),
  retention_dead_days: Type.Integer({ description: 'RETENTION_DEAD_DAYS; 0: for ever' }),
  old: Type.Object(
    {
      days: Type.Array(Type.Object({ day: Type.String(), events: Type.Integer(), dead: Type.Integer() }), {
        description: 'By the day (UTC) of their receipt; dead: dead letters among them',
      }),
      more: Type.Boolean({ description: 'True: there are more, since only the 100,000 oldest events are counted' }),
    },
    { description: 'Events past their retention by that clock' },
  ),
})
export type RetentionReportJson = Static<typeof RetentionReportSchema>

export const retentionStateJson = ({
  isHeld,
  clockMs,
  trustedAtMs,
  steadyHours,
}: RetentionState): RetentionStateJson => ({
  held: isHeld,
  clock: toIso(clockMs),
  last_known: toIso(trustedAtMs),
  steady_hours: steadyHours ?? null,
})

export const retentionReportJson = (report: RetentionReport): RetentionReportJson => ({
  ...retentionStateJson(report),
  retention_days: report.retentionDays,
  retention_dead_days: report.deadRetentionDays,
  old: { days: [...report.old.days], more: report.old.more },
})
