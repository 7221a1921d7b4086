import type { HandlerDefinition } from '../domain/handler.ts'
import type { Routing } from './routes.ts'
import { compilePatterns } from './type-pattern.ts'

/** Where events of one source go, as far as their types tell. Plain data, so that it can cross threads. */
export interface TypeRoutes {
  readonly source: string
  /** Patterns of the types that the source takes. */
  readonly accepts: readonly string[]
  /** Handlers of the source's events, and patterns of the types that each takes. */
  readonly handlers: readonly { readonly name: string; readonly types: readonly string[] }[]
}

/** Those of a source; without `accepts`, of one that is not configured here. */
export const typeRoutes = (
  source: string,
  accepts: readonly string[] = ['*'],
  handlers: readonly HandlerDefinition[] = [],
): TypeRoutes => ({
  source,
  accepts,
  handlers: handlers
    .filter((registration) => registration.source === undefined || registration.source === source)
    .map(({ name, types }) => ({ name, types })),
})

/** Routes an event of which it is known that it is as its schemas say. */
export function routeByType({ source, accepts, handlers }: TypeRoutes, type: string): Routing {
  if (!compilePatterns(accepts)(type)) return notTaken(source, accepts)
  const names = handlers.filter(({ types }) => compilePatterns(types)(type)).map(({ name }) => name)
  return { status: names.length > 0 ? 'accepted' : 'unhandled', handlers: names, reasons: [] }
}

/** Of an event whose type its source does not take. */
export const notTaken = (source: string, accepts: readonly string[]): Routing => ({
  status: 'unhandled',
  handlers: [],
  reasons: [`source ${source} accepts only ${accepts.join(', ')}`],
})
