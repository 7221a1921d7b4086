import { type Static, Type } from '@sinclair/typebox'
import type { Logger } from 'pino'
import { toIso } from '../../domain/clock.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { RetentionReport, RetentionService, RetentionState } from '../../domain/retention.ts'
import { clientOf, type OpsApp } from './ops-app.ts'

const Time = (description: string) => Type.String({ format: 'date-time', description })

const State = {
  held: Type.Boolean({ description: 'Nothing is forgotten, since the clock is doubted' }),
  clock: Time("What the store's clock says"),
  last_known: Time('When that clock was last trusted'),
  steady_hours: Type.Union([Type.Integer(), Type.Null()], {
    description: 'For how long a doubted clock has run on steadily: after 24 it is trusted; null: it is',
  }),
}
const StateSchema = Type.Object(State)
const Days = (description: string) => Type.Integer({ description })
const Report = Type.Object({
  ...State,
  retention_days: Days('RETENTION_DAYS; 0: for ever'),
  retention_dead_days: Days('RETENTION_DEAD_DAYS; 0: for ever'),
  old: Type.Object(
    {
      days: Type.Array(Type.Object({ day: Type.String(), events: Type.Integer(), dead: Type.Integer() }), {
        description: 'By the day (UTC) of their receipt; dead: dead letters among them',
      }),
      more: Type.Boolean({ description: 'There are more: only the 100,000 oldest events are looked at' }),
    },
    { description: 'What is past its retention by that clock' },
  ),
})

/** Retention as the ops API shows it, and after `resume`. */
export type RetentionReportJson = Static<typeof Report>
export type RetentionStateJson = Static<typeof StateSchema>

const stateJson = ({ isHeld, clockMs, trustedAtMs, steadyHours }: RetentionState): RetentionStateJson => ({
  held: isHeld,
  clock: toIso(clockMs),
  last_known: toIso(trustedAtMs),
  steady_hours: steadyHours ?? null,
})

const reportJson = (report: RetentionReport): RetentionReportJson => ({
  ...stateJson(report),
  retention_days: report.retentionDays,
  retention_dead_days: report.deadRetentionDays,
  old: { days: [...report.old.days], more: report.old.more },
})

const Body = Type.Object(
  { clock: Type.String({ format: 'date-time', description: 'The time that you vouch for, within a day' }) },
  { additionalProperties: false },
)

/** What is forgotten, and whether it is; and an operator's word that the clock is right. */
export function registerRetention(app: OpsApp, retention: RetentionService, log: Logger): void {
  const tags = ['configuration']
  app.get(
    '/v1/retention',
    { schema: { summary: 'Whether old events are forgotten, and which would be', tags, response: { 200: Report } } },
    async (_request, reply) => reply.send(reportJson(await retention.report())),
  )

  app.post(
    '/v1/retention/resume',
    {
      schema: {
        summary: 'Forget old events though the clock seems to have jumped: it is right; 409 if nothing is held',
        tags,
        body: Body,
        response: { 200: StateSchema },
      },
    },
    async (request, reply) => {
      const vouchedMs = Date.parse(request.body.clock)
      if (Number.isNaN(vouchedMs)) throw new HoldfastError('invalid_request', 'clock is not a time')
      const state = stateJson(await retention.resume(vouchedMs))
      log.warn({ ...clientOf(request), clock: state.clock }, 'retention resumed: an operator vouches for the clock')
      return reply.send(state)
    },
  )
}
