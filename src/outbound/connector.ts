import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { type AddressFilter, mayConnect } from './address-filter.ts'
import { CallFault, codeIn } from './call-fault.ts'
import { createLookup } from './name-lookup.ts'

/** One cache for all callers. */
const sharedLookup = createLookup()

const forbidden = (host: string): CallFault =>
  new CallFault('forbidden_address', `${host} leads to an address that is not on the public internet.`)

/**
 * Opens connections only to addresses that the filter allows. It resolves a name once, and connects to the addresses that it has
 * checked, so that the name cannot resolve to other ones in between. Fails with `CallFault`, before anything was sent.
 */
export function createConnector(
  filter: AddressFilter,
  timeoutMs: number,
  lookup: LookupFunction = sharedLookup,
): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs, allowH2: false, lookup: filteredLookup(filter, lookup) })
  return (options, callback) => {
    // If the host is an address, the lookup below is not called, so the address is checked here.
    if (isIP(options.hostname) !== 0 && !mayConnect(options.hostname, filter)) {
      callback(forbidden(options.hostname), null)
      return
    }
    connect(options, (...[error, socket]) => {
      if (error === null) callback(null, socket)
      else callback(error instanceof CallFault ? error : unreachable(options.hostname, error), null)
    })
  }
}

const unreachable = (host: string, error: Error): CallFault =>
  new CallFault('unreachable', `No connection to ${host} could be made${codeIn(error)}.`)

const unresolved = (host: string, error: Error): CallFault =>
  new CallFault('unreachable', `No address of ${host} was found${codeIn(error)}.`)

/** A lookup that gives only the addresses that the filter allows. */
function filteredLookup(filter: AddressFilter, lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, found, family) => {
      if (error !== null) {
        callback(unresolved(hostname, error), [])
        return
      }
      const all = typeof found === 'string' ? [{ address: found, family: family ?? isIP(found) }] : found
      const allowed = all.filter(({ address }) => mayConnect(address, filter))
      const [first] = allowed
      if (first === undefined) callback(forbidden(hostname), [])
      else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
}
