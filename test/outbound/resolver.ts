import type { lookup as getaddrinfo, LookupAddress } from 'node:dns'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLookup, type LookupSettings } from '../../src/outbound/name-lookup.ts'
import { temporaryDirectory } from '../support/service.ts'
import { startNameServer, type Zone } from './name-server.ts'

export const DEADLINE_MS = 1_000

function nameFiles(hosts: string, resolvConf: string): NonNullable<LookupSettings['files']> {
  const directory = temporaryDirectory()
  const files = { hosts: join(directory, 'hosts'), resolvConf: join(directory, 'resolv.conf') }
  writeFileSync(files.hosts, hosts)
  writeFileSync(files.resolvConf, resolvConf)
  return files
}

/** The system's resolver, which knows nothing unless given. Its `asked` are the names that it was asked for. */
export function system(known: Readonly<Record<string, string>> = {}) {
  const asked: string[] = []
  const resolve = (name: string, _: unknown, callback: (error: unknown, addresses: LookupAddress[]) => void) => {
    asked.push(name)
    const address = known[name]
    if (address === undefined) callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), [])
    else callback(null, [{ address, family: 4 }])
  }
  return Object.assign(resolve as unknown as typeof getaddrinfo, { asked })
}

type Given = LookupSettings & { readonly hosts?: string; readonly resolvConf?: string; readonly ttl?: number }

/** A lookup over a name server of its own, on a machine whose files are empty unless given. */
export async function startLookup(zone: Zone, given: Given = {}) {
  const { hosts = '', resolvConf = '', ttl, ...settings } = given
  const { server, asked } = await startNameServer(zone, ttl)
  const files = nameFiles(hosts, resolvConf)
  const lookup = createLookup({ servers: [server], files, deadlineMs: DEADLINE_MS, system: system(), ...settings })
  const addresses = (name: string, family: 0 | 4 | 6 = 0): Promise<string[]> =>
    new Promise((resolve, reject) => {
      lookup(name, { all: true, family }, (error, found) => {
        if (error !== null) reject(error)
        else resolve((found as LookupAddress[]).map(({ address }) => address))
      })
    })
  return { lookup, addresses, asked }
}
