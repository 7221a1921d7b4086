import type { Registration } from '../domain/provider.ts'

/** A registration from what an answer holds; undefined where a field is not what it has to be. */
export function registrationOf(fields: {
  readonly id: unknown
  readonly url: unknown
  readonly events: unknown
  readonly active: unknown
}): Registration | undefined {
  const { id, url, events, active } = fields
  if (typeof id !== 'string' && typeof id !== 'number') return undefined
  if (id === '' || typeof url !== 'string' || typeof active !== 'boolean') return undefined
  if (!Array.isArray(events) || !events.every((event) => typeof event === 'string')) return undefined
  return { id: String(id), url, events, active }
}

/** The `Authorization` that most APIs ask for. */
export const bearer = (key: string | undefined): Readonly<Record<string, string>> =>
  key === undefined ? {} : { authorization: `Bearer ${key}` }
