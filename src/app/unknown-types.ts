import { catalogue } from '../domain/event-catalogue.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { editsBetween } from '../domain/nearest-name.ts'
import type { Provider } from '../domain/provider.ts'

const isPattern = (type: string): boolean => type.includes('*')

/**
 * Warnings for handlers of a type that is one letter off a known one. Known are the types of the catalogue, those that provider
 * modules have schemas for or can register, and those that handlers have schemas for. A type that resembles none of them may be
 * one that only its sender knows.
 */
export function misspeltTypes(
  handlers: readonly HandlerDefinition[],
  providers: Iterable<Pick<Provider, 'schemas' | 'api'>>,
): readonly string[] {
  const known = new Set([
    ...Object.keys(catalogue),
    ...[...providers].flatMap(({ schemas = {}, api }) => [
      ...Object.keys(schemas),
      ...(api?.registrations?.events ?? []),
    ]),
    ...handlers.flatMap(({ types, schema }) => (schema === undefined ? [] : types)),
  ])
  const types = [...known].filter((type) => !isPattern(type))
  return handlers.flatMap(({ name, types: own }) =>
    own.flatMap((type) => {
      if (known.has(type) || isPattern(type)) return []
      const near = types.find((each) => editsBetween(type, each) === 1)
      return near === undefined ? [] : [`handler ${name}: type ${type} is not known; did you mean ${near}?`]
    }),
  )
}
