import type { Registration } from '../domain/provider.ts'
import type { SourceRegistration } from '../domain/registrar.ts'
import type { ConnectedSource } from '../domain/source.ts'
import { registrationIn } from '../pipeline/handed-over.ts'
import { notFound } from './failures.ts'
import { isSameTarget } from './target.ts'

/** Up to 256 characters that can be printed; what breaks lines or surrogates, or shows nothing, cannot. */
const ID = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]{1,256}$/u

/** Undefined: it is no registration that could be used. */
export function checkedRegistration(source: ConnectedSource, value: unknown): Registration | undefined {
  const registration = registrationIn(value)
  return registration !== undefined && isUsableId(source, registration.id) ? registration : undefined
}

/** Throws `registration_not_found` for what can be no registration's id. */
export function checkedId(source: ConnectedSource, id: string): string {
  if (isUsableId(source, id)) return id
  throw notFound(source, id)
}

/** Not one that leads to another path, however it is escaped, nor one that holds a key or a secret: ids are shown and logged. */
const isUsableId = ({ redact }: ConnectedSource, id: string): boolean =>
  ID.test(id) && redact(id) === id && !id.split(/[/\\]/).some((part) => /^\.{0,2}$/.test(part))

/** What callers see: without keys and secrets, wherever the provider echoes one. */
export const shown = (source: ConnectedSource, { id, url, events, active }: Registration): SourceRegistration => ({
  source: source.name,
  id: source.redact(id),
  url: source.redact(url),
  events: events.map((event) => source.redact(event)),
  active,
  ours: source.url !== undefined && isSameTarget(url, source.url),
})
