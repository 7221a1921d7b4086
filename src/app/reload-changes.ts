import type { SourceConfig } from '../domain/config.ts'
import type { ChangedSource, ReloadChanges } from '../domain/reload.ts'
import type { ServiceParts } from './prepare.ts'
import { isFixedAtStart } from './settings.ts'

type Compared = Pick<ServiceParts, 'config' | 'digests' | 'handlers' | 'needRestart'>

/** What differs between the parts before a reload and after it. */
export function changesBetween(before: Compared, now: Compared): ReloadChanges {
  const settings = [...new Set([...before.digests.keys(), ...now.digests.keys()])]
    .filter((name) => !isFixedAtStart(name) && before.digests.get(name) !== now.digests.get(name))
    .toSorted()
  return {
    sources: {
      ...difference(before.config.sources, now.config.sources),
      changed: now.config.sources.flatMap((source): ChangedSource[] => {
        const old = before.config.sources.find(({ name }) => name === source.name)
        return old === undefined || isSame(old, source) ? [] : [changeOf(old, source)]
      }),
    },
    handlers: difference(before.handlers, now.handlers),
    settings,
    needRestart: now.needRestart,
  }
}

type Named = readonly { readonly name: string }[]

function difference(before: Named, now: Named) {
  const names = (all: Named) => new Set(all.map(({ name }) => name))
  const [old, known] = [names(before), names(now)]
  return { added: [...known.difference(old)], removed: [...old.difference(known)] }
}

const isSame = (one: SourceConfig, other: SourceConfig): boolean => JSON.stringify(one) === JSON.stringify(other)

function changeOf(old: SourceConfig, now: SourceConfig): ChangedSource {
  const placesOnlyIn = (these: readonly string[], those: readonly string[]): readonly number[] =>
    these.flatMap((secret, at) => (those.includes(secret) ? [] : [at + 1]))
  return {
    name: now.name,
    secrets: now.secrets.length,
    added: placesOnlyIn(now.secrets, old.secrets),
    removed: placesOnlyIn(old.secrets, now.secrets),
  }
}
