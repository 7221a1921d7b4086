import { Type } from '@sinclair/typebox'
import type { HandlerDefinition } from '../../domain/handler.ts'
import type { AttemptPolicy } from '../../domain/handler-policy.ts'
import type { PauseService } from '../../domain/pause.ts'
import type { SecretUse, SourceState } from '../../domain/source.ts'
import type { SourceHealth } from '../../domain/source-health.ts'
import { HandlerSchema, handlerJson, SourceSchema, type SourceView, sourceJson } from '../schemas/configuration.ts'
import type { OpsApp } from './ops-app.ts'

const tags = ['configuration']

interface SourceAnswers {
  readonly sources: () => readonly SourceView[]
  readonly sourceState: (source: string) => Promise<SourceState>
  readonly sourceHealth: (source: string) => SourceHealth
  readonly secretUses: (source: string) => readonly SecretUse[]
  readonly pauses: Pick<PauseService, 'find'>
}

export function registerSources(
  app: OpsApp,
  { sources, sourceState, sourceHealth, secretUses, pauses }: SourceAnswers,
): void {
  app.get(
    '/v1/sources',
    {
      schema: {
        summary: 'The configured sources and their state',
        tags,
        response: { 200: Type.Object({ items: Type.Array(SourceSchema) }) },
      },
    },
    async (_request, reply) => {
      const items = sources().map(async (source) =>
        sourceJson(
          source,
          await sourceState(source.name),
          sourceHealth(source.name),
          secretUses(source.name),
          pauses.find('source', source.name),
        ),
      )
      return reply.send({ items: await Promise.all(items) })
    },
  )
}

interface HandlerAnswers {
  /** The handlers that are known now. */
  readonly handlers: () => readonly HandlerDefinition[]
  /** What counts for those without a policy of their own. */
  readonly attempts: () => AttemptPolicy
  /** Whether a running process has it. */
  readonly isRunning: (handler: string) => boolean
  readonly pauses: Pick<PauseService, 'find'>
}

export function registerHandlers(app: OpsApp, { handlers, attempts, isRunning, pauses }: HandlerAnswers): void {
  app.get(
    '/v1/handlers',
    {
      schema: {
        summary: 'The registered handlers and their policies',
        tags,
        response: { 200: Type.Object({ items: Type.Array(HandlerSchema) }) },
      },
    },
    async (_request, reply) =>
      reply.send({
        items: handlers().map((handler) => {
          const { name } = handler
          const pause = pauses.find('handler', name)
          return handlerJson({ handler, service: attempts(), isRunning: isRunning(name), pause })
        }),
      }),
  )
}
