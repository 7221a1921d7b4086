import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'

/** So many bytes of each file are read, and so many search domains used, as the system's own resolver does. */
const MAX_FILE_BYTES = 1_048_576
const MAX_SEARCH = 6
const MAX_NDOTS = 15

/** Where a system says how its names are resolved. */
export interface NameFiles {
  readonly hosts: string
  readonly resolvConf: string
}

export const SYSTEM_FILES: NameFiles = { hosts: '/etc/hosts', resolvConf: '/etc/resolv.conf' }

/** What they say: addresses by name in lower case, and how a name is made whole. */
export interface LocalNames {
  readonly hosts: ReadonlyMap<string, readonly string[]>
  readonly search: readonly string[]
  /** A name with fewer dots is tried with the search domains first. */
  readonly ndots: number
}

/** A file that is not there says nothing. */
export async function readNameFiles(files: NameFiles): Promise<LocalNames> {
  const [hosts, resolvConf] = await Promise.all([linesOf(files.hosts), linesOf(files.resolvConf)])
  const found = new Map<string, string[]>()
  for (const [address = '', ...names] of hosts) {
    if (isIP(address) === 0) continue
    for (const name of names) {
      const addresses = found.get(name.toLowerCase()) ?? []
      found.set(name.toLowerCase(), [...addresses, address])
    }
  }
  // The last of these lines counts.
  const [, ...search] = resolvConf.findLast(([word]) => word === 'search' || word === 'domain') ?? []
  const ndots = resolvConf
    .filter(([word]) => word === 'options')
    .flat()
    .findLast((option) => option.startsWith('ndots:'))
  return {
    hosts: found,
    search: search.slice(0, MAX_SEARCH).map((domain) => domain.replace(/\.$/, '')),
    ndots: Math.min(MAX_NDOTS, Number(/^ndots:(\d+)$/.exec(ndots ?? '')?.[1] ?? 1)),
  }
}

async function linesOf(file: string): Promise<readonly (readonly string[])[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .slice(0, MAX_FILE_BYTES)
    .split('\n')
    .map((line) =>
      line
        .replace(/[#;].*$/, '')
        .trim()
        .split(/\s+/),
    )
}

/** The names to ask for, in order: with a dot at the end it is whole already. */
export function candidatesOf(name: string, { search, ndots }: LocalNames): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const searched = search.filter((domain) => domain !== '').map((domain) => `${name}.${domain}`)
  const dots = name.split('.').length - 1
  return dots >= ndots ? [name, ...searched] : [...searched, name]
}
