import { Type } from '@sinclair/typebox'
import type { HandlerDefinition } from '../../domain/handler.ts'
import type { OpsApp } from './ops-app.ts'

const Answer = Type.Object({
  items: Type.Array(
    Type.Object({
      name: Type.String(),
      types: Type.Array(Type.String(), { description: 'Event-type patterns' }),
      source: Type.Union([Type.String(), Type.Null()], { description: 'The only source whose events it takes' }),
      concurrency: Type.Union([Type.Integer(), Type.Null()], { description: 'How many of it may run at once' }),
    }),
  ),
})

/** `handlers`: those that there are now. */
export function registerHandlers(app: OpsApp, handlers: () => readonly HandlerDefinition[]): void {
  const itemOf = ({ name, types, source, concurrency }: HandlerDefinition) => ({
    name,
    types: [...types],
    source: source ?? null,
    concurrency: concurrency ?? null,
  })
  app.get(
    '/v1/handlers',
    { schema: { summary: 'The registered handlers', tags: ['configuration'], response: { 200: Answer } } },
    async (_request, reply) => reply.send({ items: handlers().map(itemOf) }),
  )
}
