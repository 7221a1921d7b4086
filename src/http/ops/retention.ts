import { Type } from '@sinclair/typebox'
import { HoldfastError } from '../../domain/errors.ts'
import type { RetentionService } from '../../domain/retention.ts'
import {
  RetentionReportSchema,
  RetentionStateSchema,
  retentionReportJson,
  retentionStateJson,
} from '../schemas/retention.ts'
import { Time } from '../schemas/schema.ts'
import { noteChange } from './audit.ts'
import type { OpsApp } from './ops-app.ts'

const Body = Type.Object(
  { clock: Time('The time of the clock that you confirm; it may differ by a day') },
  { additionalProperties: false },
)

/** Shows whether old events are deleted, and which. Takes an operator's confirmation that the clock is right. */
export function registerRetention(app: OpsApp, retention: RetentionService): void {
  const tags = ['configuration']
  app.get(
    '/v1/retention',
    {
      schema: {
        summary: 'Whether old events are deleted, and which ones are old',
        tags,
        response: { 200: RetentionReportSchema },
      },
    },
    async (_request, reply) => reply.send(retentionReportJson(await retention.report())),
  )

  app.post(
    '/v1/retention/resume',
    {
      config: { audit: 'retention.resume' },
      schema: {
        summary:
          'Confirm a clock that seems to have jumped, so that old events are deleted again; 409 if nothing is held',
        tags,
        body: Body,
        response: { 200: RetentionStateSchema },
      },
    },
    async (request, reply) => {
      const confirmedMs = Date.parse(request.body.clock)
      if (Number.isNaN(confirmedMs)) throw new HoldfastError('invalid_request', 'clock is not a time')
      const state = retentionStateJson(await retention.resume(confirmedMs))
      noteChange(request, { target: `clock ${state.clock}` })
      return reply.send(state)
    },
  )
}
