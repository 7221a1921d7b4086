import { Type } from '@sinclair/typebox'
import type { Logger } from 'pino'
import type { ReplayEvent } from '../../domain/delivery-queue.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import { uidOf } from './events.ts'
import { clientOf, type OpsApp } from './ops-app.ts'

const Body = Type.Object(
  { handler: Type.Optional(Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH })) },
  { additionalProperties: false },
)

const Answer = Type.Object({
  uid: Type.String(),
  status: Type.String({ description: 'What the event is from now on' }),
  reasons: Type.Array(Type.String()),
  handlers: Type.Array(Type.String(), { description: 'The handlers that will run' }),
})

export function registerReplays(app: OpsApp, replay: ReplayEvent, log: Logger): void {
  app.post(
    '/v1/events/:uid/replay',
    {
      schema: {
        summary: 'Run an event again: 202 if a handler will run, 200 if none wants it',
        tags: ['events'],
        params: Type.Object({ uid: Type.String() }),
        body: Body,
        response: { 200: Answer, 202: Answer },
      },
    },
    async (request, reply) => {
      const uid = uidOf(request.params)
      const { status, reasons, handlers } = await replay(uid, request.body.handler)
      log.info({ ...clientOf(request), uid, status, handlers, deliveries: handlers.length }, 'event replayed')
      return reply
        .code(handlers.length > 0 ? 202 : 200)
        .send({ uid, status, reasons: [...reasons], handlers: [...handlers] })
    },
  )
}
