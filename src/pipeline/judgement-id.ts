import { hash } from 'node:crypto'
import type { EventFields } from '../domain/event.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import type { Provider } from '../domain/provider.ts'
import { VERSION } from '../domain/version.ts'

/**
 * The id of one schema check of one event, known before the check runs: two checks with the same id have the same result. It is
 * the SHA-256 of this release, the schema (the handler's own, or else the provider's) and the part of the event that is checked,
 * without the time of receipt.
 */
export function judgementId(
  { schema, schemaOf }: Pick<HandlerDefinition, 'schema' | 'schemaOf'>,
  provider: Provider,
  fields: EventFields,
): string {
  const by = schema ?? provider.schemas?.[fields.type]
  const { created_at, data, ...others } = fields
  const beside = schemaOf === 'event' && { ...others, ...(fields.created_at_source === 'provider' && { created_at }) }
  return hash('sha256', JSON.stringify([VERSION, digestOf(by), fields.type, digestOf(data), beside]))
}

const digests = new WeakMap<object, string>()

/** Computed once per object: a schema may be long, and an event may have several checks. */
function digestOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return hash('sha256', JSON.stringify(value) ?? '')
  const digest = digests.get(value) ?? hash('sha256', JSON.stringify(value))
  digests.set(value, digest)
  return digest
}
