import type { TypeRoutes } from '../domain/delivery.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import type { TypeMatcher } from '../domain/source.ts'
import type { RouteResult } from './routes.ts'

/** The routes of one source by type. Absent `accepts`: the source is not configured, and accepts every type. */
export const typeRoutes = (
  source: string,
  accepts: readonly string[] = ['*'],
  handlers: readonly HandlerDefinition[] = [],
): TypeRoutes => ({
  source,
  accepts,
  handlers: handlers
    .filter((handler) => handler.source === undefined || handler.source === source)
    .map(({ name, types }) => ({ name, types })),
})

/** Routes an event that is already known to match its schemas. */
export function routeByType({ source, accepts, handlers }: TypeRoutes, type: string): RouteResult {
  if (!compilePatterns(accepts)(type)) return typeNotAccepted(source, accepts)
  const names = handlers.filter(({ types }) => compilePatterns(types)(type)).map(({ name }) => name)
  return { status: names.length > 0 ? 'accepted' : 'unhandled', handlers: names, reasons: [] }
}

/** The route result of an event whose type its source does not accept. */
export const typeNotAccepted = (source: string, accepts: readonly string[]): RouteResult => ({
  status: 'unhandled',
  handlers: [],
  reasons: [`source ${source} accepts only ${accepts.join(', ')}`],
})

/** Compiles event-type patterns such as `completion.finished`, `completion.*`, `*`. Matching is linear in the type's length. */
export function compilePatterns(patterns: readonly string[]): TypeMatcher {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')))
  const globs = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split(/\*+/))
  return (type) => exact.has(type) || globs.some((parts) => matchesGlob(type, parts))
}

function matchesGlob(type: string, parts: readonly string[]): boolean {
  const head = parts[0] ?? ''
  const tail = parts.at(-1) ?? ''
  if (type.length < head.length + tail.length || !type.startsWith(head) || !type.endsWith(tail)) return false
  let from = head.length
  const end = type.length - tail.length
  for (const part of parts.slice(1, -1)) {
    const at = type.indexOf(part, from)
    if (at < 0 || at + part.length > end) return false
    from = at + part.length
  }
  return true
}
