import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { shippedHandlers } from './support/shipped-handlers.ts'

/**
 * Which room may import what: rooms of `src`, and packages. A room that is not named here may not exist; a room that imports
 * a file of its own needs no entry for it. `app` wires everything.
 */
const table: Readonly<Record<string, { rooms: readonly string[]; packages: readonly string[] }>> = {
  'main.ts': { rooms: ['app', 'cli', 'domain', 'log', 'storage/transfer'], packages: [] },
  'index.ts': { rooms: ['domain', 'providers'], packages: ['@sinclair/typebox'] },
  api: { rooms: ['domain'], packages: ['@sinclair/typebox'] },
  app: { rooms: ['*'], packages: ['node:*', '@prometheus-io/client'] },
  cli: {
    rooms: ['api', 'app', 'domain', 'providers', 'signatures', 'storage'],
    packages: ['undici', 'node:*'],
  },
  demo: { rooms: ['api', 'app', 'cli', 'domain', 'providers', 'signatures'], packages: ['node:*'] },
  'demo/handlers': { rooms: [], packages: ['holdfast', 'node:fs'] },
  dispatch: { rooms: ['dispatch/pool', 'domain'], packages: [] },
  'dispatch/ipc': { rooms: ['domain'], packages: ['node:fs', 'node:os', 'node:path'] },
  'dispatch/pool': { rooms: ['dispatch/ipc', 'domain'], packages: ['node:*'] },
  'dispatch/process': { rooms: ['dispatch/ipc', 'domain', 'log', 'modules', 'pipeline'], packages: ['node:*', 'pino'] },
  domain: { rooms: ['..'], packages: ['@sinclair/typebox', 'node:crypto'] },
  handlers: { rooms: [], packages: ['holdfast'] },
  http: { rooms: ['api', 'domain'], packages: ['fastify', '@fastify/*', '@sinclair/typebox', 'node:*'] },
  'http/public': { rooms: ['domain', 'http'], packages: ['fastify', '@fastify/*', '@sinclair/typebox', 'node:*'] },
  'http/ops': { rooms: ['api', 'domain', 'http'], packages: ['fastify', '@fastify/*', '@sinclair/typebox', 'node:*'] },
  log: { rooms: ['domain'], packages: ['pino', 'node:*'] },
  modules: {
    rooms: ['domain', 'pipeline', 'threads'],
    packages: ['node:module', 'node:fs/promises', 'node:path', 'node:v8', 'node:worker_threads'],
  },
  outbound: {
    rooms: ['domain'],
    packages: ['undici', 'node:net', 'node:dns', 'node:fs/promises', 'node:timers/promises'],
  },
  pipeline: {
    rooms: ['domain', 'log', 'threads'],
    packages: ['ajv', 'ajv-formats', 're2js', 'node:crypto', 'node:module', 'node:worker_threads'],
  },
  providers: { rooms: ['domain', 'modules', 'pipeline', 'signatures'], packages: ['@sinclair/typebox', 'node:url'] },
  registrations: { rooms: ['domain', 'pipeline'], packages: [] },
  replicas: { rooms: ['domain', 'pipeline'], packages: [] },
  signatures: { rooms: ['domain'], packages: ['@sinclair/typebox', 'node:crypto'] },
  storage: { rooms: ['domain', 'storage/postgres', 'storage/sqlite'], packages: ['node:*'] },
  'storage/records': { rooms: ['domain'], packages: ['node:*'] },
  'storage/postgres': {
    rooms: ['domain', 'pipeline', 'storage', 'storage/records'],
    packages: ['pg', 'node:*'],
  },
  'storage/sqlite': { rooms: ['domain', 'pipeline', 'storage/records'], packages: ['node:*'] },
  'storage/transfer': {
    rooms: ['domain', 'storage/postgres', 'storage/records', 'storage/sqlite'],
    packages: ['node:*'],
  },
  tasks: { rooms: ['domain', 'pipeline'], packages: ['cockatiel', 'node:timers/promises'] },
  threads: { rooms: ['domain', 'log'], packages: ['node:stream', 'node:worker_threads'] },
}

/** Packages whose types, which leave no trace at run time, any room may name. */
const typesOnly = new Set(['pino', 'fastify'])

const src = join(import.meta.dirname, '..', 'src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !isUsers(file),
)

/** What the user of a clone has added to `src/handlers`, or changed there, may import anything. */
function isUsers(file: string): boolean {
  const [room, ...names] = file.split('/')
  return room === 'handlers' && !shippedHandlers.has(names.join('/'))
}

const IMPORT = /^\s*(?:import|export)\s(?<type>type\s)?(?:[^'"]*?\sfrom\s)?['"](?<from>[^'"]+)['"]/gm

function roomOf(file: string): string {
  const directory = dirname(file)
  if (directory === '.') return file
  return directory in table ? directory : (directory.split('/')[0] ?? directory)
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
  const allowed = table[room]
  if (allowed === undefined) return [`${file}: there is no room ${room}`]
  const text = readFileSync(join(src, file), 'utf8')
  return [...text.matchAll(IMPORT)].flatMap(({ groups }) => {
    const { from = '', type } = groups ?? {}
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

describe('the rooms of src', () => {
  test('import only what the table allows', () => {
    expect(files.length).toBeGreaterThan(50)
    expect(files.flatMap(breaches)).toEqual([])
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
