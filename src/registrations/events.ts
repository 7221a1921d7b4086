import { HoldfastError } from '../domain/errors.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { compilePatterns } from '../pipeline/type-pattern.ts'
import { failed } from './failures.ts'
import type { Registry } from './source.ts'

const ALL = '*'
/** Nothing that a name can hold. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u

/**
 * The events to ask the provider for, as it names them: the caller's, else those of `SOURCE_<NAME>_TYPES`, else the
 * provider's usual ones. Throws `invalid_request` on a pattern that stands for nothing the provider is known to have, and
 * on what is no name.
 */
export async function eventsFor(registry: Registry, asked: readonly string[] | undefined): Promise<readonly string[]> {
  const { source, api } = registry
  if (asked !== undefined) return expand(registry, asked, 'events')
  // What a task's expiry brings is made here.
  const types = source.types.filter((type) => type !== EXPIRED_TYPE)
  return types.includes(ALL) ? api.events : expand(registry, types, `${source.variable}_TYPES`)
}

async function expand(registry: Registry, patterns: readonly string[], place: string): Promise<readonly string[]> {
  const { source, api } = registry
  const { provider } = source
  const takesAll = api.events.includes(ALL)
  const known = takesAll ? Object.keys(provider.schemas ?? {}) : api.events
  const names = await namesOf(registry, checkedNames(patterns, place))
  const events = names.flatMap(({ pattern, name }) => {
    if (!name.includes('*') || (name === ALL && takesAll)) return [name]
    const matching = known.filter(compilePatterns([name]))
    if (matching.length > 0) return matching
    const what = source.redact(pattern)
    throw invalid(`${place}: no event of provider ${provider.name} is known to match ${what}; name the events`)
  })
  return tidy(checkedNames(events, place))
}

interface Named {
  readonly pattern: string
  /** The provider's. */
  readonly name: string
}

async function namesOf(registry: Registry, patterns: readonly string[]): Promise<readonly Named[]> {
  const names: Named[] = []
  for (const pattern of patterns) names.push({ pattern, name: await nameOf(registry, pattern) })
  return names
}

async function nameOf(registry: Registry, pattern: string): Promise<string> {
  if (registry.api.eventOf === undefined) return pattern
  const name = await registry.make('eventOf', pattern).catch(() => undefined)
  if (typeof name !== 'string') throw failed(registry.source, `its module has no name for event ${pattern}`)
  return name
}

function checkedNames(names: readonly string[], place: string): readonly string[] {
  if (names.some((name) => UNPRINTABLE.test(name))) throw invalid(`${place}: an event's name holds a control character`)
  if (names.length === 0 || names.some((name) => name.trim() === '')) throw invalid(`${place}: no event is named`)
  return names
}

const invalid = (message: string): HoldfastError => new HoldfastError('invalid_request', message)

/** Each once; `*` stands for the rest. */
const tidy = (events: readonly string[]): readonly string[] => (events.includes(ALL) ? [ALL] : [...new Set(events)])

export const covers = (present: readonly string[], wanted: readonly string[]): boolean =>
  present.includes(ALL) || wanted.every((event) => present.includes(event))

export const union = (present: readonly string[], wanted: readonly string[]): readonly string[] =>
  tidy([...present, ...wanted])
