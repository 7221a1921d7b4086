import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

/**
 * Which room may import what: rooms of `src`, and packages. A room that is not named here may not exist.
 * `main` stands for the files at the top of `src` that wire everything.
 */
const table: Readonly<Record<string, { rooms: readonly string[]; packages: readonly string[] }>> = {
  domain: {
    rooms: ['domain', 'version.ts'],
    packages: ['@sinclair/typebox', 'ajv', 'ajv-formats', 're2js', 'node:crypto', 'node:module'],
  },
  signatures: { rooms: ['domain', 'signatures'], packages: ['node:crypto'] },
  providers: {
    rooms: ['domain', 'signatures', 'providers', 'modules.ts'],
    packages: ['@sinclair/typebox', 'node:url'],
  },
  handlers: { rooms: [], packages: ['holdfast'] },
  tasks: { rooms: ['domain', 'tasks'], packages: ['cockatiel', 'node:timers/promises'] },
  ingest: { rooms: ['domain', 'ingest'], packages: [] },
  registrations: { rooms: ['domain', 'registrations'], packages: [] },
  dispatch: { rooms: ['domain', 'dispatch', 'dispatch/pool'], packages: ['node:*'] },
  'dispatch/pool': { rooms: ['domain', 'dispatch', 'dispatch/pool'], packages: ['node:*'] },
  'dispatch/process': {
    rooms: ['domain', 'dispatch', 'dispatch/process', 'captured-console.ts', 'log.ts', 'modules.ts'],
    packages: ['node:*', 'pino'],
  },
  readers: {
    rooms: ['domain', 'readers', 'captured-console.ts'],
    packages: ['node:module', 'node:stream', 'node:v8', 'node:worker_threads'],
  },
  outbound: {
    rooms: ['domain', 'outbound'],
    packages: ['undici', 'node:net', 'node:dns', 'node:fs/promises', 'node:timers/promises'],
  },
  storage: {
    rooms: ['domain', 'storage', 'storage/common', 'storage/postgres', 'storage/sqlite'],
    packages: ['node:*'],
  },
  'storage/common': { rooms: ['domain', 'storage/common'], packages: ['node:*'] },
  'storage/postgres': { rooms: ['domain', 'storage/common', 'storage/postgres'], packages: ['pg', 'node:*'] },
  'storage/sqlite': { rooms: ['domain', 'storage/common', 'storage/sqlite'], packages: ['node:*'] },
  http: { rooms: ['domain', 'http', 'version.ts'], packages: ['fastify', '@fastify/*', '@sinclair/typebox', 'node:*'] },
  cli: {
    rooms: ['domain', 'cli', 'providers', 'signatures', 'config', 'version.ts'],
    packages: ['undici', 'node:*'],
  },
  demo: { rooms: ['cli', 'domain', 'providers', 'signatures', 'config', 'demo'], packages: ['node:*'] },
  'demo/handlers': { rooms: [], packages: ['holdfast', 'node:fs'] },
  config: { rooms: ['domain', 'config'], packages: ['node:*'] },
  'fleet.ts': { rooms: ['domain'], packages: [] },
  'generated-secret.ts': { rooms: [], packages: ['node:*'] },
  'captured-console.ts': { rooms: [], packages: ['node:*'] },
  'listening.ts': { rooms: ['domain'], packages: [] },
  'log.ts': { rooms: [], packages: ['pino'] },
  'modules.ts': { rooms: [], packages: ['node:*'] },
  metrics: { rooms: ['domain', 'metrics'], packages: ['@prometheus-io/client', 'node:perf_hooks'] },
  upkeep: { rooms: ['domain', 'upkeep'], packages: [] },
  'sources.ts': { rooms: ['domain', 'signatures'], packages: [] },
  'index.ts': { rooms: ['domain'], packages: ['@sinclair/typebox'] },
  'version.ts': { rooms: ['..'], packages: [] },
  'source-access.ts': { rooms: ['domain', 'outbound', 'sources.ts', 'version.ts'], packages: [] },
  'prepare.ts': { rooms: ['*'], packages: ['node:fs'] },
  'holdfast.ts': { rooms: ['*'], packages: [] },
  'main.ts': { rooms: ['cli', 'config', 'domain', 'holdfast.ts', 'log.ts', 'storage'], packages: [] },
}

/** Packages whose types, which leave no trace at run time, any room may name. */
const typesOnly = new Set(['pino', 'fastify'])

const src = join(import.meta.dirname, '..', 'src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

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
      return allows(allowed.rooms, target) ? [] : [`${file} imports ${from}`]
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
    ['process.env', ['config/environment.ts']],
    ['process.exit(', ['main.ts']],
    ['node:sqlite', ['storage/sqlite/']],
    ["from 'pg'", ['storage/postgres/']],
    ["from 'fastify'", ['http/', 'listening.ts']],
  ])('name %s nowhere but in %j', (needle, places) => {
    const found = files.filter((file) => readFileSync(join(src, file), 'utf8').includes(needle))
    expect(found.filter((file) => !places.some((place) => file.startsWith(place)))).toEqual([])
  })

  test('have no file over 300 lines', () => {
    const long = files.filter((file) => readFileSync(join(src, file), 'utf8').split('\n').length > 301)
    expect(long).toEqual([])
  })
})
