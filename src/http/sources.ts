import { Type } from '@sinclair/typebox'
import type { Source } from '../domain/source.ts'
import type { OpsApp } from './ops-app.ts'

/** What may be told of a source; its secrets are not even within reach. */
export type SourceView = Pick<Source, 'name' | 'types' | 'url'> & { readonly provider: { readonly name: string } }

const Answer = Type.Object({
  items: Type.Array(
    Type.Object({
      name: Type.String(),
      provider: Type.String(),
      types: Type.Array(Type.String(), { description: 'Event-type patterns accepted at this source' }),
      path: Type.String(),
      url: Type.Union([Type.String(), Type.Null()], {
        description: 'Where the provider reaches it, if that is configured',
      }),
    }),
  ),
})

export function registerSources(app: OpsApp, sources: readonly SourceView[]): void {
  const items = sources.map(({ name, provider, types, url }) => ({
    name,
    provider: provider.name,
    types: [...types],
    path: `/v1/webhooks/${name}`,
    url: url ?? null,
  }))
  app.get(
    '/v1/sources',
    { schema: { summary: 'The configured sources', tags: ['configuration'], response: { 200: Answer } } },
    async (_request, reply) => reply.send({ items }),
  )
}
