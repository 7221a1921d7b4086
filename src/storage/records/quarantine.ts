import { MAX_REASONS } from '../../domain/limits.ts'

/** The reasons of an event that is quarantined, for some handler perhaps not for the first time, as they are stored. */
export function joinedReasons(status: unknown, stored: unknown, added: readonly string[]): string {
  const known = status === 'quarantined' && typeof stored === 'string' ? (JSON.parse(stored) as string[]) : []
  return JSON.stringify([...new Set([...known, ...added])].slice(0, MAX_REASONS))
}
