import { Type } from '@sinclair/typebox'
import type { Logger } from 'pino'
import { HoldfastError } from '../../domain/errors.ts'
import type { RetentionService } from '../../domain/retention.ts'
import {
  RetentionReportSchema,
  RetentionStateSchema,
  retentionReportJson,
  retentionStateJson,
} from '../schemas/retention.ts'
import { Time } from '../schemas/schema.ts'
import { clientOf, type OpsApp } from './ops-app.ts'

const Body = Type.Object({ clock: Time('The time that you vouch for, within a day') }, { additionalProperties: false })

/** Shows whether old events are forgotten, and which; and takes an operator's confirmation that the clock is right. */
export function registerRetention(app: OpsApp, retention: RetentionService, log: Logger): void {
  const tags = ['configuration']
  app.get(
    '/v1/retention',
    {
      schema: {
        summary: 'Whether old events are forgotten, and which would be',
        tags,
        response: { 200: RetentionReportSchema },
      },
    },
    async (_request, reply) => reply.send(retentionReportJson(await retention.report())),
  )

  app.post(
    '/v1/retention/resume',
    {
      schema: {
        summary: 'Forget old events though the clock seems to have jumped: it is right; 409 if nothing is held',
        tags,
        body: Body,
        response: { 200: RetentionStateSchema },
      },
    },
    async (request, reply) => {
      const vouchedMs = Date.parse(request.body.clock)
      if (Number.isNaN(vouchedMs)) throw new HoldfastError('invalid_request', 'clock is not a time')
      const state = retentionStateJson(await retention.resume(vouchedMs))
      log.warn({ ...clientOf(request), clock: state.clock }, 'retention resumed: an operator vouches for the clock')
      return reply.send(state)
    },
  )
}
