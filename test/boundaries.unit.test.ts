import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { shippedHandlers } from './support/shipped-handlers.ts'

const src = join(import.meta.dirname, '..', 'src')
const architecture = readFileSync(join(src, '../docs/architecture.md'), 'utf8')

/**
 * The table of docs/architecture.md: which room may import which others, and which packages. A room that it does not name may
 * not exist; each may import its own files.
 */
const table = new Map(
  [...architecture.matchAll(/^\| `([\w/.]+)` \| [^|]+ \| ([^|]*)\| ([^|]*)\|$/gm)].map(
    ([, room = '', rooms = '', packages = '']) => [room, { rooms: codeIn(rooms), packages: codeIn(packages) }],
  ),
)

function codeIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
}

/** Packages whose types, which leave no trace at run time, any room may name. */
const typesOnly = new Set(['pino', 'fastify'])

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !isUsers(file),
)

/** What the user of a clone has added to `src/handlers`, or changed there, may import anything. */
function isUsers(file: string): boolean {
  const [room, ...names] = file.split('/')
  return room === 'handlers' && !shippedHandlers.has(names.join('/'))
}

const IMPORT = /^\s*(?:import|export)\s(?<type>type\s)?(?:[^'"]*?\sfrom\s)?['"](?<from>[^'"]+)['"]/gm

/** A static import, a dynamic one, or the URL of a thread or process. */
const ANY_IMPORT = /(?:from |import\(|URL\()['"](\.[^'"]+\.ts)['"]/g

const PACKAGE_IMPORT = /(?:from |import |import\()'([^'.][^']*)'/g

function roomOf(file: string): string {
  const directory = dirname(file)
  if (directory === '.') return file
  return table.has(directory) ? directory : (directory.split('/')[0] ?? directory)
}

function allows(patterns: readonly string[], name: string): boolean {
  return patterns.some(
    (pattern) => pattern === name || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1))),
  )
}

const packageOf = (specifier: string): string =>
  specifier.startsWith('node:')
    ? specifier
    : specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')

function breaches(file: string): string[] {
  const room = roomOf(file)
  const allowed = table.get(room)
  if (allowed === undefined) return [`${file}: there is no room ${room}`]
  const text = readFileSync(join(src, file), 'utf8')
  return [...text.matchAll(IMPORT)].flatMap(({ groups }) => {
    const { from = '', type } = groups ?? {}
    if (from.endsWith('/package.json')) return []
    if (from.startsWith('.')) {
      const target = roomOf(relative(src, join(src, dirname(file), from)))
      return target === room || allows(allowed.rooms, target) ? [] : [`${file} imports ${from}`]
    }
    const name = packageOf(from)
    return allows(allowed.packages, name) || (type !== undefined && typesOnly.has(name))
      ? []
      : [`${file} imports ${from}`]
  })
}

/** What the files of each room import; the first group of the pattern holds what stands in the import. */
function importsOfRooms(
  pattern: RegExp,
  nameOf: (file: string, from: string) => string,
): ReadonlyMap<string, ReadonlySet<string>> {
  const imported = new Map<string, Set<string>>([...table.keys()].map((room) => [room, new Set()]))
  for (const file of files) {
    const found = [...readFileSync(join(src, file), 'utf8').matchAll(pattern)]
    for (const [, from = ''] of found) imported.get(roomOf(file))?.add(nameOf(file, from))
  }
  return imported
}

describe('the rooms of src', () => {
  test('import only what the table allows', () => {
    expect(files.length).toBeGreaterThan(50)
    expect(files.flatMap(breaches)).toEqual([])
  })

  test('are allowed no room that none of their files imports', () => {
    const imported = importsOfRooms(ANY_IMPORT, (file, from) => roomOf(join(dirname(file), from)))
    const needless = [...table].flatMap(([room, { rooms }]) =>
      rooms.filter((other) => other !== '*' && !imported.get(room)?.has(other)).map((other) => `${room}: ${other}`),
    )
    expect(needless).toEqual([])
  })

  test('are allowed no package that none of their files imports', () => {
    const imported = importsOfRooms(PACKAGE_IMPORT, (_, from) => packageOf(from))
    const needless = [...table].flatMap(([room, { packages }]) =>
      packages
        .filter((allowed) => ![...(imported.get(room) ?? [])].some((name) => allows([allowed], name)))
        .map((allowed) => `${room}: ${allowed}`),
    )
    expect(needless).toEqual([])
  })

  test('have the files that docs/architecture.md names', () => {
    const prose = architecture.replace(/```[^]*?```/g, '')
    const written = codeIn(prose).filter((text) => /^[\w-]+\/[\w./-]*(?:\.ts|\/)$/.test(text))
    const drawings = architecture.match(/```mermaid[^]*?```/g) ?? []
    const named = [...written, ...drawings.flatMap((drawing) => drawing.match(/\w[\w-]*\/[\w/-]+\.ts/g) ?? [])]
    expect(named.length).toBeGreaterThan(30)
    expect(
      named.filter((path) => !existsSync(join(src, /^(?:test|scripts)\//.test(path) ? `../${path}` : path))),
    ).toEqual([])
  })

  test.each([
    ['process.env', ['app/environment.ts']],
    ['process.exit(', ['main.ts']],
    ['node:sqlite', ['storage/sqlite/']],
    ["from 'pg'", ['storage/postgres/']],
    ["from 'fastify'", ['http/', 'app/listeners.ts']],
  ])('name %s nowhere but in %j', (needle, places) => {
    const found = files.filter((file) => readFileSync(join(src, file), 'utf8').includes(needle))
    expect(found.filter((file) => !places.some((place) => file.startsWith(place)))).toEqual([])
  })

  test('have no file over 300 lines', () => {
    const long = files.filter((file) => readFileSync(join(src, file), 'utf8').split('\n').length > 301)
    expect(long).toEqual([])
  })
})
