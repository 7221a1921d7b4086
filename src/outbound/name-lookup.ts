import { lookup as getaddrinfo, type LookupAddress, type LookupOptions, promises } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isPrivateName } from './address-filter.ts'
import { askNameServers, type NameFault, type ResolvedName, worseOf } from './dns-queries.ts'
import {
  candidatesOf,
  type LocalNames,
  MAX_ADDRESSES,
  type NameFiles,
  readNameFiles,
  SYSTEM_FILES,
} from './resolver-files.ts'

/** The longest that a lookup may take; shorter than the timeout of a connection. */
const DEADLINE_MS = 4_000
/**
 * The longest wait for the answer to a first query. If the name server has answered quickly so far, the wait is shorter, at least
 * 250 ms. The resolver then repeats the query, each time with a longer wait, until the deadline.
 */
const QUESTION_MS = 1_500
const TRIES = 4
/** Bounds of the time for which an answer is cached, its time to live, and of the number of cached answers. */
const MIN_TTL_SECONDS = 1
const MAX_TTL_SECONDS = 300
const MAX_CACHED = 1_000
/** How long the contents of the system's files count before they are read again. */
const FILES_MS = 30_000

export interface LookupSettings {
  /** Name servers. Default: those of the system. */
  readonly servers?: readonly string[]
  readonly files?: NameFiles
  readonly deadlineMs?: number
  /** The system's own resolver, for names that DNS does not know. */
  readonly system?: typeof getaddrinfo
}

/**
 * Resolves names as the system does (its hosts file, then its name servers with its search domains), but without the system's
 * resolver (getaddrinfo). That one has two threads for the whole process, and two names whose servers hang would delay all others.
 *
 * If the name servers give no address, the system's resolver is tried too, for one name at a time, because it may have other sources.
 * It is not tried after a timeout or SERVFAIL, which it would only meet again (most name servers answer SERVFAIL when a provider's own
 * servers hang); a private name is tried also after SERVFAIL.
 *
 * Every lookup ends within its deadline. Answers are cached for their time to live; callers that want the same name share a lookup.
 */
export function createLookup(settings: LookupSettings = {}): LookupFunction {
  const names = new NameResolver(settings)
  return (hostname, options, callback) => void answer(names.resolve(hostname.toLowerCase()), options, callback)
}

async function answer(
  found: Promise<readonly LookupAddress[]>,
  options: LookupOptions,
  callback: Parameters<LookupFunction>[2],
): Promise<void> {
  let addresses: LookupAddress[]
  try {
    addresses = (await found).filter(({ family }) => isWanted(family, options))
  } catch (error) {
    callback(error as NodeJS.ErrnoException, [])
    return
  }
  const [first] = addresses
  if (first === undefined) callback(failure('ENOTFOUND'), [])
  else if (options.all === true) callback(null, addresses)
  else callback(null, first.address, first.family)
}

const isWanted = (family: number, { family: wanted }: LookupOptions): boolean =>
  wanted === undefined || wanted === 0 || wanted === family || wanted === `IPv${family}`

const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(code), { code })

interface Cached {
  readonly addresses: Promise<LookupAddress[]>
  /** Infinite while the lookup runs. */
  untilMs: number
}

class NameResolver {
  readonly #files: NameFiles
  readonly #servers: readonly string[] | undefined
  readonly #deadlineMs: number
  readonly #system: typeof getaddrinfo
  readonly #cache = new Map<string, Cached>()
  #local:
    | { readonly names: Promise<LocalNames>; readonly resolver: promises.Resolver; readonly untilMs: number }
    | undefined
  /** Present while the system's resolver looks up a name; resolves when it has answered. */
  #systemBusy: Promise<void> | undefined

  constructor({ servers, files = SYSTEM_FILES, deadlineMs = DEADLINE_MS, system = getaddrinfo }: LookupSettings) {
    this.#servers = servers
    this.#files = files
    this.#deadlineMs = deadlineMs
    this.#system = system
  }

  resolve(name: string): Promise<LookupAddress[]> {
    const known = this.#cache.get(name)
    if (known !== undefined && known.untilMs > performance.now()) return known.addresses
    const found = within(this.#deadlineMs, this.#find(name))
    const cached: Cached = { addresses: found.then(({ addresses }) => [...addresses]), untilMs: Infinity }
    this.#cache.delete(name)
    this.#cache.set(name, cached)
    const [oldest] = this.#cache.keys()
    if (this.#cache.size > MAX_CACHED && oldest !== undefined) this.#cache.delete(oldest)
    void found.then(
      ({ ttlSeconds }) => {
        cached.untilMs = performance.now() + 1_000 * Math.min(MAX_TTL_SECONDS, Math.max(MIN_TTL_SECONDS, ttlSeconds))
      },
      () => {
        if (this.#cache.get(name) === cached) this.#cache.delete(name)
      },
    )
    return cached.addresses
  }

  async #find(name: string): Promise<ResolvedName> {
    const untilMs = performance.now() + this.#deadlineMs
    const { names, resolver } = this.#systemState()
    const local = await names
    const hosts = local.addressesOf(name.replace(/\.$/, ''))
    const known = hosts.length > 0 ? hosts : loopbackOf(name)
    if (known !== undefined) return { addresses: known.map(addressOf), ttlSeconds: MIN_TTL_SECONDS }
    const resolved = await queryInOrder(resolver, candidatesOf(name, local), untilMs)
    if (typeof resolved !== 'string') return resolved
    if (resolved === 'ETIMEOUT' || (resolved === 'ESERVFAIL' && !isPrivateName(name))) throw failure(resolved)
    return this.#askSystem(name, untilMs, resolved)
  }

  /** The names in the system's files, and a resolver with the name servers of these files. */
  #systemState() {
    if (this.#local !== undefined && this.#local.untilMs > performance.now()) return this.#local
    const resolver = new promises.Resolver({ timeout: QUESTION_MS, tries: TRIES, maxTimeout: DEADLINE_MS })
    if (this.#servers !== undefined) resolver.setServers(this.#servers)
    this.#local = { names: readNameFiles(this.#files), resolver, untilMs: performance.now() + FILES_MS }
    return this.#local
  }

  /** `fault`: why the name servers gave no address. */
  async #askSystem(name: string, untilMs: number, fault: NameFault): Promise<ResolvedName> {
    while (this.#systemBusy !== undefined) await this.#systemBusy
    // The deadline has passed while this lookup waited.
    if (performance.now() > untilMs) throw failure('ETIMEOUT')
    const resolved = new Promise<LookupAddress[]>((resolve, reject) => {
      this.#system(name, { all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)))
    })
    this.#systemBusy = resolved.then(
      () => this.#systemIsFree(),
      () => this.#systemIsFree(),
    )
    try {
      return { addresses: (await resolved).slice(0, MAX_ADDRESSES), ttlSeconds: MIN_TTL_SECONDS }
    } catch (error) {
      throw failure(fault === 'ENOTFOUND' ? ((error as NodeJS.ErrnoException).code ?? fault) : fault)
    }
  }

  #systemIsFree = (): void => {
    this.#systemBusy = undefined
  }
}

/** RFC 6761 §6.3: names under `localhost` are loopback addresses, and no name server is queried for them. */
const loopbackOf = (name: string): readonly string[] | undefined =>
  /(?:^|\.)localhost\.?$/.test(name) ? ['127.0.0.1', '::1'] : undefined

const addressOf = (address: string): LookupAddress => ({ address, family: isIP(address) })

/**
 * Gives the addresses of the first candidate that has any. Each candidate gets an equal share of the remaining time, so that a search
 * domain whose servers hang leaves time for the others.
 */
async function queryInOrder(
  resolver: promises.Resolver,
  candidates: readonly string[],
  untilMs: number,
): Promise<ResolvedName | NameFault> {
  let worst: NameFault = 'ENOTFOUND'
  for (const [at, candidate] of candidates.entries()) {
    const partMs = (untilMs - performance.now()) / (candidates.length - at)
    const late = sleep(partMs, 'ETIMEOUT' as const, { ref: false })
    const found = await Promise.race([askNameServers(resolver, candidate), late])
    if (typeof found !== 'string') return found
    worst = worseOf(worst, found)
  }
  return worst
}

async function within<Value>(ms: number, work: Promise<Value>): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(failure('ETIMEOUT')), ms)
  try {
    return await Promise.race([promise, work])
  } finally {
    clearTimeout(timer)
  }
}
