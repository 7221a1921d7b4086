import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'

/** The most characters of each file that are read, and the most search domains and dots that count; the latter as in the system's resolver. */
const MAX_HOSTS_LENGTH = 1_048_576
const MAX_RESOLV_CONF_LENGTH = 65_536
const MAX_SEARCH = 6
const MAX_NDOTS = 15
/** The most addresses of one name that are used. */
export const MAX_ADDRESSES = 32

/** The files that configure how the system resolves names. */
export interface NameFiles {
  readonly hosts: string
  readonly resolvConf: string
}

export const SYSTEM_FILES: NameFiles = { hosts: '/etc/hosts', resolvConf: '/etc/resolv.conf' }

/** The names of the hosts file, and how a name is completed with the search domains. */
export interface LocalNames {
  /** The addresses of a name in lower case; empty: the hosts file does not have it. */
  readonly addressesOf: (name: string) => readonly string[]
  readonly search: readonly string[]
  /** A name with fewer dots is tried with the search domains first. */
  readonly ndots: number
}

/** A file that does not exist counts as empty. */
export async function readNameFiles(files: NameFiles): Promise<LocalNames> {
  const [hosts, resolvConf] = await Promise.all([
    textOf(files.hosts, MAX_HOSTS_LENGTH),
    textOf(files.resolvConf, MAX_RESOLV_CONF_LENGTH),
  ])
  const lines = resolvConf.split('\n').map(wordsOf)
  // The last line with either word counts.
  const [, ...search] = lines.findLast(([word]) => word === 'search' || word === 'domain') ?? []
  const ndots = lines
    .filter(([word]) => word === 'options')
    .flat()
    .findLast((option) => option.startsWith('ndots:'))
  return {
    addressesOf: (name) => addressesIn(hosts, name),
    search: search.slice(0, MAX_SEARCH).map((domain) => domain.replace(/\.$/, '')),
    ndots: Math.min(MAX_NDOTS, Number(/^ndots:(\d+)$/.exec(ndots ?? '')?.[1] ?? 1)),
  }
}

const textOf = async (file: string, maxLength: number): Promise<string> =>
  (await readFile(file, 'utf8').catch(() => '')).slice(0, maxLength).toLowerCase()

const wordsOf = (line: string): readonly string[] =>
  line
    .replace(/[#;].*$/, '')
    .trim()
    .split(/\s+/)

/** Reads only lines with the name: some hosts files block a hundred thousand other names. */
function addressesIn(hosts: string, name: string): readonly string[] {
  const found: string[] = []
  if (name === '') return found
  for (let at = hosts.indexOf(name); at >= 0 && found.length < MAX_ADDRESSES; at = hosts.indexOf(name, at)) {
    const isWord = isSpace(hosts[at - 1]) && isSpace(hosts[at + name.length])
    at += name.length
    if (!isWord) continue
    const end = endOfLine(hosts, at)
    const [address = '', ...names] = wordsOf(hosts.slice(hosts.lastIndexOf('\n', at - 1) + 1, end))
    if (names.includes(name) && isIP(address) !== 0) found.push(address)
    at = end
  }
  return found
}

const isSpace = (character: string | undefined): boolean => character === undefined || /[\s#;]/.test(character)

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

/** The names to look up, in order: the name itself, and the name with each search domain. A name that ends with a dot is complete. */
export function candidatesOf(name: string, { search, ndots }: LocalNames): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const searched = search.filter((domain) => domain !== '').map((domain) => `${name}.${domain}`)
  const dots = name.split('.').length - 1
  return dots >= ndots ? [name, ...searched] : [...searched, name]
}
