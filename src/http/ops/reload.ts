import { changedSettings, type ReloadResult } from '../../domain/reload.ts'
import { sendProblem } from '../problems.ts'
import { ReloadSchema, reloadJson } from '../schemas/reload.ts'
import { noteChange } from './audit.ts'
import type { OpsApp } from './ops-app.ts'

/** Reads the configuration and loads the modules again, and tells what has changed, or why nothing has. */
export function registerReload(app: OpsApp, reload: () => Promise<ReloadResult>): void {
  app.post(
    '/v1/reload',
    {
      config: { audit: 'configuration.reload' },
      schema: {
        summary:
          'Read secrets, sources and all other settings again, and load the modules again; 422 with every fault if they have any, and then nothing has changed',
        tags: ['configuration'],
        response: { 200: ReloadSchema },
      },
    },
    async (request, reply) => {
      const result = await reload()
      if (result.ok) {
        noteChange(request, changedSettings(result.changes))
        return reply.send(reloadJson(result.changes, result.durationMs))
      }
      return sendProblem(reply, result.isStopping || result.isAway ? 'unavailable' : 'configuration_refused', {
        reasons: result.faults,
      }) as never
    },
  )
}
