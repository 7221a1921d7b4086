import { Type } from '@sinclair/typebox'
import type { HandlerDefinition } from '../../domain/handler.ts'
import type { SourceState } from '../../domain/source.ts'
import { HandlerSchema, handlerJson, SourceSchema, type SourceView, sourceJson } from '../schemas/configuration.ts'
import type { OpsApp } from './ops-app.ts'

const tags = ['configuration']

export function registerSources(
  app: OpsApp,
  sources: () => readonly SourceView[],
  stateOf: (source: string) => Promise<SourceState>,
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
      const items = sources().map(async (source) => sourceJson(source, await stateOf(source.name)))
      return reply.send({ items: await Promise.all(items) })
    },
  )
}

/** `handlers` gives the handlers that are known now. */
export function registerHandlers(app: OpsApp, handlers: () => readonly HandlerDefinition[]): void {
  app.get(
    '/v1/handlers',
    {
      schema: {
        summary: 'The registered handlers',
        tags,
        response: { 200: Type.Object({ items: Type.Array(HandlerSchema) }) },
      },
    },
    async (_request, reply) => reply.send({ items: handlers().map(handlerJson) }),
  )
}
