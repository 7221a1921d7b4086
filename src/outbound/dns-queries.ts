import type { LookupAddress, promises } from 'node:dns'
import { isIP } from 'node:net'
import { MAX_ADDRESSES } from './resolver-files.ts'

/** How long the addresses of one family (IPv4, IPv6) wait for those of the other, and how long an answer with one family is cached. */
const OTHER_FAMILY_MS = 250
const HALF_TTL_SECONDS = 10

export interface ResolvedName {
  /** At least one, IPv4 first. */
  readonly addresses: readonly LookupAddress[]
  readonly ttlSeconds: number
}

/** Why name servers gave no address, the least serious reason first. */
const FAULTS = ['ENOTFOUND', 'ECONNREFUSED', 'EREFUSED', 'EBADRESP', 'ESERVFAIL', 'ETIMEOUT'] as const
export type NameFault = (typeof FAULTS)[number]

export const worseOf = (one: NameFault, other: NameFault): NameFault =>
  FAULTS.indexOf(one) < FAULTS.indexOf(other) ? other : one

/** The answer for one address family. */
interface Family {
  readonly records: readonly { readonly address: string; readonly ttl: number }[]
  readonly fault?: NameFault
  /** The name does not exist, in either family. */
  readonly isUnknown?: boolean
}

const LATE: Family = { records: [], fault: 'ETIMEOUT' }

/** Queries both families of one name. Never rejects. */
export async function askNameServers(resolver: promises.Resolver, name: string): Promise<ResolvedName | NameFault> {
  const four = resolver.resolve4(name, { ttl: true }).then(recordsOf, faultOf)
  const six = resolver.resolve6(name, { ttl: true }).then(recordsOf, faultOf)
  const both = Promise.all([four, six])
  // Some servers never answer the IPv6 query, or answer it with NXDOMAIN although the name exists (RFC 4074). So only the IPv4 answer
  // tells that the name does not exist.
  await Promise.race([
    four.then(({ records, isUnknown }) => (records.length > 0 || isUnknown === true ? undefined : both)),
    six.then(({ records }) => (records.length > 0 ? undefined : both)),
  ])
  const late = new Promise<Family>((resolve) => setTimeout(resolve, OTHER_FAMILY_MS, LATE).unref())
  const families = await Promise.all([Promise.race([four, late]), Promise.race([six, late])])
  const records = families.flatMap((family) => family.records)
  const fault = families.reduce((worst, family) => worseOf(worst, family.fault ?? 'ENOTFOUND'), FAULTS[0] as NameFault)
  if (records.length === 0) return families[0].isUnknown === true ? 'ENOTFOUND' : fault
  return {
    addresses: records.map(({ address }) => ({ address, family: isIP(address) })),
    ttlSeconds: Math.min(...records.map(({ ttl }) => ttl), ...(fault === 'ENOTFOUND' ? [] : [HALF_TTL_SECONDS])),
  }
}

const recordsOf = (records: Family['records']): Family => ({ records: records.slice(0, MAX_ADDRESSES) })

function faultOf({ code = '' }: NodeJS.ErrnoException): Family {
  switch (code) {
    case 'ENOTFOUND':
      return { records: [], fault: 'ENOTFOUND', isUnknown: true }
    case 'ENODATA':
    case 'EBADNAME':
      return { records: [], fault: 'ENOTFOUND' }
    case 'ECANCELLED':
      return LATE
    default:
      return { records: [], fault: FAULTS.find((fault) => fault === code) ?? 'EBADRESP' }
  }
}
