import type { ReadStatus } from '../../domain/status.ts'
import { StatusSchema, statusJson } from '../schemas/status.ts'
import type { OpsApp } from './ops-app.ts'

/** The service at a glance. Answers 200 also with the store away, and then tells what the process itself knows. */
export function registerStatus(app: OpsApp, readStatus: ReadStatus): void {
  app.get(
    '/v1/status',
    {
      schema: {
        summary: 'The service at a glance: its problems, the worst first, and what is going on',
        tags: ['metrics'],
        response: { 200: StatusSchema },
      },
    },
    async (_request, reply) => reply.send(statusJson(await readStatus())),
  )
}
