import {
  lookup as getaddrinfo,
  type LookupAddress,
  type LookupAllOptions,
  type LookupOptions,
  promises,
} from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { candidatesOf, type LocalNames, type NameFiles, readNameFiles, SYSTEM_FILES } from './name-files.ts'

/** The longest that a name may take, whatever becomes of it: sooner than the connection gives up. */
const DEADLINE_MS = 4_000
/** Of one question to one name server; it is asked so often. */
const QUESTION_MS = 1_500
const TRIES = 2
/** How long the other family's addresses are waited for when those of one are there. */
const OTHER_FAMILY_MS = 250
/** An answer is kept for its own time to live, within these bounds; and so many of them. */
const MIN_TTL_SECONDS = 1
const MAX_TTL_SECONDS = 300
const MAX_CACHED = 1_000
/** The system's files are read again after so long. */
const FILES_MS = 30_000

export interface LookupSettings {
  /** The system's unless given. */
  readonly servers?: readonly string[]
  readonly files?: NameFiles
  readonly deadlineMs?: number
  /** The system's own resolver, for names that DNS does not know. */
  readonly system?: typeof getaddrinfo
}

/**
 * Resolves names as the system does (its hosts file, then its name servers with its search domains), but not by its resolver:
 * that has two threads for the whole process, and two names whose servers hang would keep every other one waiting. Only a name
 * that the name servers do not know is asked of the system too, one at a time: it may know it from elsewhere.
 *
 * Every lookup ends within its deadline. Answers are kept for their time to live; those who ask for one name share a lookup.
 */
export function createLookup(settings: LookupSettings = {}): LookupFunction {
  const names = new Names(settings)
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

interface Resolved {
  readonly addresses: readonly LookupAddress[]
  readonly ttlSeconds: number
}

interface Cached {
  readonly addresses: Promise<LookupAddress[]>
  /** Infinite while it is under way. */
  untilMs: number
}

class Names {
  readonly #files: NameFiles
  readonly #servers: readonly string[] | undefined
  readonly #deadlineMs: number
  readonly #system: typeof getaddrinfo
  readonly #cache = new Map<string, Cached>()
  #local:
    | { readonly names: Promise<LocalNames>; readonly resolver: promises.Resolver; readonly untilMs: number }
    | undefined
  /** Resolves when the system has answered for the one name that it is asked for. */
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

  async #find(name: string): Promise<Resolved> {
    const untilMs = performance.now() + this.#deadlineMs
    const { names, resolver } = this.#systemState()
    const local = await names
    const hosts = local.hosts.get(name.replace(/\.$/, '')) ?? loopbackOf(name)
    if (hosts !== undefined) return { addresses: hosts.map(addressOf), ttlSeconds: MIN_TTL_SECONDS }
    for (const candidate of candidatesOf(name, local)) {
      const found = await ask(resolver, candidate)
      if (found !== undefined) return found
    }
    return this.#askSystem(name, untilMs)
  }

  /** Its files, and a resolver that has read them too. */
  #systemState() {
    if (this.#local !== undefined && this.#local.untilMs > performance.now()) return this.#local
    const resolver = new promises.Resolver({ timeout: QUESTION_MS, tries: TRIES })
    if (this.#servers !== undefined) resolver.setServers(this.#servers)
    this.#local = { names: readNameFiles(this.#files), resolver, untilMs: performance.now() + FILES_MS }
    return this.#local
  }

  async #askSystem(name: string, untilMs: number): Promise<Resolved> {
    while (this.#systemBusy !== undefined) await this.#systemBusy
    // Nobody waits for it any more.
    if (performance.now() > untilMs) throw failure('ETIMEOUT')
    const { promise, resolve, reject } = Promise.withResolvers<Resolved>()
    const free = Promise.withResolvers<void>()
    this.#systemBusy = free.promise
    const options: LookupAllOptions = { all: true }
    this.#system(name, options, (error, addresses) => {
      this.#systemBusy = undefined
      free.resolve()
      if (error === null) resolve({ addresses, ttlSeconds: MIN_TTL_SECONDS })
      else reject(failure(error.code ?? 'ENOTFOUND'))
    })
    return promise
  }
}

/** RFC 6761 §6.3: never asked of a name server. */
const loopbackOf = (name: string): readonly string[] | undefined =>
  /(?:^|\.)localhost\.?$/.test(name) ? ['127.0.0.1', '::1'] : undefined

const addressOf = (address: string): LookupAddress => ({ address, family: isIP(address) })

/** Both families of one name; undefined: there is no such name, or nobody to ask. Rejects where a name server does not answer. */
async function ask(resolver: promises.Resolver, name: string): Promise<Resolved | undefined> {
  const four = resolver.resolve4(name, { ttl: true }).catch(nothing)
  const six = resolver.resolve6(name, { ttl: true }).catch(nothing)
  // Whichever comes to something; the other may be one of those that servers do not answer.
  await Promise.race([four, six].map(something))
  const late = new Promise<unknown>((resolve) => setTimeout(resolve, OTHER_FAMILY_MS, 'late').unref())
  const settled = await Promise.all([four, six].map((each) => Promise.race([each, late])))
  const records = settled.filter(Array.isArray).flat() as { readonly address: string; readonly ttl: number }[]
  if (records.length > 0)
    return {
      addresses: records.map(({ address }) => addressOf(address)),
      ttlSeconds: Math.min(...records.map(({ ttl }) => ttl)),
    }
  if (settled.some((each) => each === 'late' || each === 'silent')) throw failure('ETIMEOUT')
  return undefined
}

const SILENT: ReadonlySet<string | undefined> = new Set(['ETIMEOUT', 'ECANCELLED'])
const nothing = ({ code }: NodeJS.ErrnoException): 'silent' | 'none' => (SILENT.has(code) ? 'silent' : 'none')

/** Resolves as soon as it has records; where it has none, never before the other has settled. */
const something = (family: Promise<unknown>, _: number, both: readonly Promise<unknown>[]): Promise<unknown> =>
  family.then((found) => (Array.isArray(found) ? found : Promise.all(both).then(() => undefined)))

async function within<Value>(ms: number, work: Promise<Value>): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(failure('ETIMEOUT')), ms)
  try {
    return await Promise.race([promise, work])
  } finally {
    clearTimeout(timer)
  }
}
