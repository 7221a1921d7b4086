import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import type { RegistrationWish } from '../domain/provider.ts'
import type { Registrar } from '../domain/registrar.ts'
import { checkedId, listAll, remove } from './ask.ts'
import { create, ensure, shown, update } from './change.ts'
import { eventsFor } from './events.ts'
import { type RegistrableSource, type Registry, registryOf, urlOf } from './source.ts'
import { checkedUrl } from './target.ts'
import { takeTurns } from './turns.ts'

export interface RegistrarOptions {
  readonly sources: ReadonlyMap<string, RegistrableSource>
  /** Told which source, registration and action, never a key or a secret. */
  readonly log: Logger
}

/** Changes of one source take turns, so that what `ensure` has seen still holds when it acts on it. */
export function createRegistrar({ sources, log }: RegistrarOptions): Registrar {
  const inTurn = takeTurns()
  const change = <Result>(name: string, work: (registry: Registry) => Promise<Result>): Promise<Result> =>
    inTurn(name, async () => work(registryOf(find(sources, name), log)))

  return {
    async list(name) {
      const asked = name === undefined ? [...sources.values()].filter(isConfigured) : [find(sources, name)]
      const lists = asked.map(async (source) =>
        (await listAll(registryOf(source, log))).map((registration) => shown(source, registration)),
      )
      return (await Promise.all(lists)).flat()
    },
    create: (name, { events, url }) =>
      change(name, async (registry) =>
        create(registry, eventsFor(registry, events), url === undefined ? urlOf(registry.source) : checkedUrl(url)),
      ),
    update: (name, id, { events, url, active }) =>
      change(name, async (registry) => {
        const wish: RegistrationWish = {
          ...(url !== undefined && { url: checkedUrl(url) }),
          ...(events !== undefined && { events: eventsFor(registry, events) }),
          ...(active !== undefined && { active }),
        }
        if (Object.keys(wish).length === 0) throw new HoldfastError('invalid_request', 'nothing is to be changed')
        return update(registry, checkedId(registry.source, id), wish)
      }),
    remove: (name, id) => change(name, (registry) => remove(registry, id)),
    ensure: (name, { events }) => change(name, (registry) => ensure(registry, events)),
  }
}

function find(sources: ReadonlyMap<string, RegistrableSource>, name: string): RegistrableSource {
  const source = sources.get(name)
  if (source !== undefined) return source
  throw new HoldfastError('unknown_source', `there is no source ${name}; there are ${[...sources.keys()].join(', ')}`)
}

const isConfigured = ({ provider, call }: RegistrableSource): boolean =>
  provider.api?.registrations !== undefined && call !== undefined
