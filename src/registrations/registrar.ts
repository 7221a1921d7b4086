import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import type { RegistrationWish } from '../domain/provider.ts'
import type { Registrar } from '../domain/registrar.ts'
import type { ConnectedSource } from '../domain/source.ts'
import { answersHere } from '../pipeline/body-reader.ts'
import { readHere } from '../pipeline/provider-readers.ts'
import { remove } from './ask.ts'
import { create, ensure, update } from './change.ts'
import { startDeadline } from './deadline.ts'
import { eventsFor } from './events.ts'
import { listEach, listOne } from './list.ts'
import { checkedId } from './registration.ts'
import { isConfigured, type ModuleCalls, type Registry, registryOf, urlOf } from './source.ts'
import { checkedUrl } from './target.ts'
import { takeTurns } from './turns.ts'

export interface RegistrarOptions extends Partial<ModuleCalls> {
  readonly sources: ReadonlyMap<string, ConnectedSource>
  /** Told which source, registration and action, never a key or a secret. */
  readonly log: Logger
  /** Milliseconds of a clock that only goes forward; the process's own unless given. */
  readonly nowMs?: () => number
}

/** Changes of one source take turns, so that what `ensure` has seen still holds when it acts on it. */
export function createRegistrar(options: RegistrarOptions): Registrar {
  const { sources, log, nowMs = () => performance.now(), readers = readHere, reader = answersHere(readHere) } = options
  const inTurn = takeTurns()
  const reach = (source: ConnectedSource): Registry =>
    registryOf(source, { readers, reader }, log, startDeadline(nowMs))

  async function change<Result>(name: string, work: (registry: Registry) => Promise<Result>): Promise<Result> {
    const registry = reach(find(sources, name))
    return inTurn(name, async () => {
      if (registry.isOver()) throw new HoldfastError('unavailable', `what is under way for ${name} takes too long`)
      return work(registry)
    })
  }

  return {
    list: async (name) =>
      name === undefined
        ? listEach([...sources.values()].filter(isConfigured).map(reach))
        : { items: await listOne(reach(find(sources, name))), failed: [] },
    create: (name, { events, url }) =>
      change(name, async (registry) =>
        create(
          registry,
          await eventsFor(registry, events),
          url === undefined ? urlOf(registry.source) : checkedUrl(url),
        ),
      ),
    update: (name, id, { events, url, active }) =>
      change(name, async (registry) => {
        const wish: RegistrationWish = {
          ...(url !== undefined && { url: checkedUrl(url) }),
          ...(events !== undefined && { events: await eventsFor(registry, events) }),
          ...(active !== undefined && { active }),
        }
        if (Object.keys(wish).length === 0) throw new HoldfastError('invalid_request', 'nothing is to be changed')
        return update(registry, checkedId(registry.source, id), wish)
      }),
    remove: (name, id) => change(name, (registry) => remove(registry, id)),
    ensure: (name, { events }) => change(name, (registry) => ensure(registry, events)),
  }
}

function find(sources: ReadonlyMap<string, ConnectedSource>, name: string): ConnectedSource {
  const source = sources.get(name)
  if (source !== undefined) return source
  throw new HoldfastError('unknown_source', `there is no source ${name}; there are ${[...sources.keys()].join(', ')}`)
}
