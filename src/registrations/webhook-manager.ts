import type { Logger } from 'pino'
import { HoldfastError, isHoldfastError } from '../domain/errors.ts'
import type { RegistrationChanges } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { RegistrationList, SourceRegistration, WebhookManager } from '../domain/webhook-manager.ts'
import { inlineApiReader } from '../pipeline/body-reader.ts'
import { directReaders } from '../pipeline/provider-readers.ts'
import { checkedId, checkedUrl, ownUrl, shownRegistration } from './registration.ts'
import { canRegister, type ModuleReaders, RegistrationClient } from './registration-client.ts'
import { createWebhook, ensureWebhook, eventsFor, removeWebhook, updateWebhook } from './webhook-changes.ts'

/** The most changes of one source that are queued, including the running one; more are refused with `unavailable`. */
const MAX_QUEUED = 16

interface WebhookManagerOptions extends Partial<ModuleReaders> {
  readonly sources: ReadonlyMap<string, ConnectedSource>
  /** Logs the source, registration and action of each change, never a key or a secret. */
  readonly log: Logger
  /** Shared with the managers from before a reload; its own unless given. */
  readonly inQueue?: InQueue
  /** A monotonic clock. Default: the process's own. */
  readonly nowMs?: () => number
}

/** Runs the changes of one source one after the other, so that a list that `ensure` has read is still true when it makes its change. */
export function createWebhookManager(options: WebhookManagerOptions): WebhookManager {
  const {
    sources,
    log,
    nowMs = () => performance.now(),
    readers = directReaders,
    reader = inlineApiReader(directReaders),
    inQueue = createQueues(),
  } = options
  const clientOf = (source: ConnectedSource) => new RegistrationClient(source, { readers, reader }, log, nowMs)

  function find(name: string): ConnectedSource {
    const source = sources.get(name)
    if (source !== undefined) return source
    throw new HoldfastError('unknown_source', `there is no source ${name}; there are ${[...sources.keys()].join(', ')}`)
  }

  async function change<Result>(name: string, work: (client: RegistrationClient) => Promise<Result>): Promise<Result> {
    const client = clientOf(find(name))
    return inQueue(name, async () => {
      if (client.isPastDeadline())
        throw new HoldfastError('unavailable', `earlier changes of the registrations of ${name} take too long`)
      return work(client)
    })
  }

  return {
    list: async (name) =>
      name === undefined
        ? listEach([...sources.values()].filter(canRegister).map(clientOf))
        : { items: await listOne(clientOf(find(name))), failed: [] },
    create: (name, { events, url }) =>
      change(name, async (client) =>
        createWebhook(
          client,
          await eventsFor(client, events),
          url === undefined ? ownUrl(client.source) : checkedUrl(url),
        ),
      ),
    update: (name, id, { events, url, active }) =>
      change(name, async (client) => {
        const changes: RegistrationChanges = {
          ...(url !== undefined && { url: checkedUrl(url) }),
          ...(events !== undefined && { events: await eventsFor(client, events) }),
          ...(active !== undefined && { active }),
        }
        if (Object.keys(changes).length === 0) throw new HoldfastError('invalid_request', 'nothing is to be changed')
        return updateWebhook(client, checkedId(client.source, id), changes)
      }),
    remove: (name, id) => change(name, (client) => removeWebhook(client, id)),
    ensure: (name, { events }) => change(name, (client) => ensureWebhook(client, events)),
  }
}

const listOne = async (client: RegistrationClient): Promise<readonly SourceRegistration[]> =>
  (await client.listAll()).map((registration) => shownRegistration(client.source, registration))

/** Lists all sources at the same time. `failed` names the sources that could not be listed. */
async function listEach(clients: readonly RegistrationClient[]): Promise<RegistrationList> {
  const lists = await Promise.all(clients.map(listOrFailure))
  return { items: lists.flatMap(({ items }) => items), failed: lists.flatMap(({ failed }) => failed) }
}

async function listOrFailure(client: RegistrationClient): Promise<RegistrationList> {
  try {
    return { items: await listOne(client), failed: [] }
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return { items: [], failed: [{ source: client.source.name, detail: error.message }] }
  }
}

/** Runs work of the same key one after the other, in the order of the calls. Failed work does not stop the work after it. */
export type InQueue = <Result>(key: string, work: () => Promise<Result>) => Promise<Result>

export function createQueues(): InQueue {
  const queues = new Map<string, { last: Promise<unknown>; length: number }>()
  return async (key, work) => {
    const queue = queues.get(key) ?? { last: Promise.resolve(), length: 0 }
    if (queue.length >= MAX_QUEUED)
      throw new HoldfastError('unavailable', `too many changes of the registrations of ${key} are waiting`)
    queues.set(key, queue)
    queue.length++
    const done = queue.last.then(work)
    queue.last = done.catch(() => {})
    try {
      return await done
    } finally {
      if (--queue.length === 0) queues.delete(key)
    }
  }
}
