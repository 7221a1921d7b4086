import { hasOwnSchemas } from '../domain/catalogue.ts'
import type { EventFields } from '../domain/event.ts'
import type { HandlerRegistration } from '../domain/handler.ts'
import { MAX_REASONS } from '../domain/limits.ts'
import type { Provider } from '../domain/provider.ts'
import { compileCheck, providerChecks } from './routes.ts'

/**
 * Why a handler must not see an event: it is not as the handler's schema says, or else its provider's. Empty: it may. Not
 * bounded in time.
 */
export type Refusals = (registration: HandlerRegistration, provider: Provider, fields: EventFields) => readonly string[]

/**
 * Of handlers and providers with schemas of their own; the catalogue, which is quickly checked, is left to the door. Throws, naming
 * the handler, on a schema that is not valid.
 */
export function compileRefusals(registrations: readonly HandlerRegistration[]): Refusals {
  const own = new Map(
    registrations.filter(({ schema }) => schema !== undefined).map((each) => [each.name, compileCheck(each)]),
  )
  return ({ name }, provider, fields) => {
    const check = own.get(name)
    const faults =
      check === undefined
        ? (hasOwnSchemas(provider) && providerChecks(provider).get(fields.type)?.(fields.data)) || []
        : check(fields)
    const prefix = check === undefined ? 'data' : name
    return faults.slice(0, MAX_REASONS).map((fault) => `${prefix}: ${fault}`)
  }
}
