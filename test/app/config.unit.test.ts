import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-config-'))
afterAll(() => rmSync(directory, { recursive: true }))

const file = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

const sound = { SOURCE_AI_SECRET: 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0' }
const faultsOf = (environment: Record<string, string>) => readConfig(environment).faults

describe('the configuration', () => {
  test('has source ai, the embedded store and a secret file beside it if no variable is set', () => {
    const { config, faults } = readConfig({ DATABASE_URL: `file:${directory}/none/holdfast.db` })
    expect(faults).toEqual([])
    expect(config).toMatchObject({
      publicHost: '0.0.0.0',
      publicPort: 8080,
      opsHost: '127.0.0.1',
      opsPort: 8081,
      sources: [{ name: 'ai', provider: 'ai', secrets: [], types: ['*'] }],
      generatedSecretFile: `${directory}/none/ai.secret`,
      role: 'all',
      handlersDir: resolve('src/handlers'),
      handlerProcesses: 2,
      handlerMemoryMb: 512,
      handlerConcurrency: 16,
      handlerTimeoutMs: 30_000,
      retry: { maxAttempts: 12, baseMs: 1000, capMs: 3_600_000 },
      bodyLimitBytes: 1_048_576,
      retentionDays: 30,
      deadRetentionDays: 30,
      shutdownGraceMs: 10_000,
    })
  })

  test('has the folders handlers and providers of the working directory, if they are there and no variable names others', () => {
    const foldersOf = (environment: Record<string, string>, workingDirectory: string) => {
      const { handlersDir, providersDir } = readConfig(environment, workingDirectory).config
      return { handlersDir, providersDir }
    }
    const project = join(directory, 'project')
    mkdirSync(join(project, 'handlers'), { recursive: true })
    file('project/providers', 'a file, and no folder')
    const handlersDir = join(project, 'handlers')
    expect(foldersOf(sound, project)).toEqual({ handlersDir, providersDir: undefined })
    rmSync(join(project, 'providers'))
    mkdirSync(join(project, 'providers'))
    expect(foldersOf(sound, project)).toEqual({ handlersDir, providersDir: join(project, 'providers') })
    expect(foldersOf({ ...sound, HANDLERS_DIR: 'mine', PROVIDERS_DIR: '/own' }, project)).toEqual({
      handlersDir: join(project, 'mine'),
      providersDir: '/own',
    })
  })

  test('refuses a folder handlers that is a symbolic link to nothing, and accepts one to a folder', () => {
    const project = join(directory, 'linked')
    mkdirSync(project)
    symlinkSync(join(project, 'real'), join(project, 'handlers'))
    expect(readConfig(sound, project).faults).toEqual([
      `${join(project, 'handlers')} is a symbolic link that leads to no folder`,
    ])
    mkdirSync(join(project, 'real'))
    const { config, faults } = readConfig(sound, project)
    expect([config.handlersDir, faults]).toEqual([join(project, 'handlers'), []])
  })

  test('uses the secret that an earlier start made', () => {
    const kept = file('ai.secret', 'whsec_kept\n')
    const { config } = readConfig({ DATABASE_URL: `file:${directory}/holdfast.db` })
    expect(config.generatedSecretFile).toBe(kept)
    expect(config.sources[0]?.secrets).toEqual(['whsec_kept'])
  })

  test('names the secret file beside the store for every form of DATABASE_URL', () => {
    const secretFile = (url: string) => readConfig({ DATABASE_URL: url }).config.generatedSecretFile
    expect(secretFile(`file://${directory}/a%20b/holdfast.db`)).toBe(`${directory}/a b/ai.secret`)
    expect(secretFile(`file://localhost${directory}/holdfast.db`)).toBe(`${directory}/ai.secret`)
  })

  test('reports a store that does not exist without a fault about the secret, and reports an empty secret file', () => {
    expect(faultsOf({ DATABASE_URL: 'mysql://h/d' })).toEqual([expect.stringContaining('DATABASE_URL must be')])
    mkdirSync(join(directory, 'empty'))
    file('empty/ai.secret', '\n')
    expect(faultsOf({ DATABASE_URL: `file:${directory}/empty/holdfast.db` })).toEqual([
      `${directory}/empty/ai.secret is empty: remove it, and a new secret is made`,
    ])
  })

  test('makes no secret for a source that SOURCES names, or that has a setting', () => {
    const DATABASE_URL = `file:${directory}/none/holdfast.db`
    const { config, faults } = readConfig({ DATABASE_URL, SOURCES: 'ai' })
    expect(faults).toEqual([
      'SOURCE_AI_SECRET is not set: source ai would accept anything. A start without settings of sources makes one, which stays if SOURCES is set later',
    ])
    expect(config.generatedSecretFile).toBeUndefined()
    expect(faultsOf({ DATABASE_URL, SOURCE_AI_TYPES: 'batch.*' })).toHaveLength(1)
  })

  test.each([
    ['SOURCES names it', { SOURCES: 'ai' }],
    ['SOURCES names others too', { SOURCES: 'stripe,ai', SOURCE_STRIPE_SECRET: 'whsec_1' }],
    ['it has other settings', { SOURCE_AI_TYPES: 'batch.*', SOURCE_AI_API_URL: 'https://api.example.com' }],
  ])('keeps the generated secret of source ai when %s', (_, environment) => {
    file('ai.secret', 'whsec_kept\n')
    const { config, faults } = readConfig({ DATABASE_URL: `file:${directory}/holdfast.db`, ...environment })
    expect(faults).toEqual([])
    expect(config.sources.find(({ name }) => name === 'ai')?.secrets).toEqual(['whsec_kept'])
    expect(config.generatedSecretFile).toBeUndefined()
  })

  test.each([
    ['a secret of its own', { SOURCE_AI_SECRET: 'whsec_own' }, ['whsec_own']],
    ['another provider', { SOURCE_AI_PROVIDER: 'stripe' }, []],
    ['a store on PostgreSQL', { SOURCES: 'ai', DATABASE_URL: 'postgres://u:p@h/d' }, []],
  ])('does not use the generated secret for source ai with %s', (_, environment, secrets) => {
    file('ai.secret', 'whsec_kept\n')
    const { config, faults } = readConfig({ DATABASE_URL: `file:${directory}/holdfast.db`, ...environment })
    expect(config.sources[0]?.secrets).toEqual(secrets)
    expect(faults).toHaveLength(secrets.length === 0 ? 1 : 0)
  })

  test('reports every fault at once', () => {
    const faults = faultsOf({
      PORT: 'eighty',
      OPS_HOST: '0.0.0.0',
      SOURCES: 'stripe,my-shop',
      SOURCE_STRIPE_SECRET: '',
      HANDLER_PROCESSES: '0',
      LOG_LEVEL: 'loud',
    })
    expect(faults).toEqual([
      'PORT is eighty, not a whole number from 0 to 65535',
      'OPS_HOST is 0.0.0.0, which others can reach: set OPS_TOKEN, or bind it to 127.0.0.1',
      'LOG_LEVEL is loud, not one of fatal, error, warn, info, debug, trace, silent',
      'SOURCE_STRIPE_SECRET holds an empty secret',
      'SOURCE_MY_SHOP_SECRET is not set: source my-shop would accept anything',
      'HANDLER_PROCESSES is 0, not a whole number from 1 to 64',
    ])
  })

  test('reads secrets newest first, indexed paths without brackets, and a dash in a source name as an underscore', () => {
    const { config } = readConfig({
      SOURCES: 'my-shop',
      SOURCE_MY_SHOP_SECRET: 'new, old',
      SOURCE_MY_SHOP_PROVIDER: 'stripe',
      SOURCE_MY_SHOP_KEYS: 'items[].sku,items.sku,rows[0].id',
    })
    expect(config.sources).toEqual([
      {
        name: 'my-shop',
        variable: 'SOURCE_MY_SHOP',
        provider: 'stripe',
        secrets: ['new', 'old'],
        types: ['*'],
        dedupe: 'id',
        keys: ['items.sku', 'rows.0.id'],
        expectEvery: 'learned',
      },
    ])
  })

  test.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['off', 'off'],
    ['', 'learned'],
  ] as const)('reads the time %s that a source may be silent', (text, expectEvery) => {
    const { config, faults } = readConfig({ ...sound, SOURCE_AI_EXPECT_EVERY: text })
    expect(faults).toEqual([])
    expect(config.sources[0]?.expectEvery).toBe(expectEvery)
  })

  test('reads X from the file that X_FILE names, without its line end', () => {
    const { config, faults } = readConfig({
      ...sound,
      OPS_TOKEN_FILE: file('token', 'b0a1f7c2d93e4856\n'),
      OPS_HOST: '0.0.0.0',
    })
    expect(faults).toEqual([])
    expect(config.opsTokens).toEqual(['b0a1f7c2d93e4856'])
  })

  test.each([
    ['an unreadable file', { OPS_TOKEN_FILE: '/nowhere/token' }, /^OPS_TOKEN_FILE cannot be read: ENOENT/],
    [
      'a value and its file',
      { OPS_TOKEN: 'a', OPS_TOKEN_FILE: file('twice', 'b') },
      /^OPS_TOKEN and OPS_TOKEN_FILE are both set/,
    ],
    ['an empty secret in a list', { SOURCE_AI_SECRET: 'one,' }, /^SOURCE_AI_SECRET holds an empty secret/],
    ['an odd source name', { SOURCES: 'ai,My Shop' }, /^SOURCES: "My Shop" is not a name/],
    ['a source twice', { SOURCES: 'ai,ai' }, /^SOURCES names a source twice/],
    ['a proxy that is no network', { TRUST_PROXY: 'true' }, /^TRUST_PROXY: true is not an address or CIDR/],
    ['a network that is too narrow', { TRUST_PROXY: '10.0.0.0/33' }, /^TRUST_PROXY: 10.0.0.0\/33 is not/],
    ['a proxy that is everybody', { TRUST_PROXY: '0.0.0.0/0' }, /^TRUST_PROXY: 0.0.0.0\/0 is not/],
    ['one port for both listeners', { PORT: '8081' }, /^PORT and OPS_PORT are both 8081/],
    ['a token that no header carries', { OPS_TOKEN: 'two words' }, /^OPS_TOKEN holds a character/],
    ['a store that there is not', { DATABASE_URL: 'mysql://u:p@h/d' }, /^DATABASE_URL must be file:/],
    [
      'credentials in a public URL',
      { PUBLIC_URL: 'https://u:p@example.com' },
      /^PUBLIC_URL is not .* without credentials/,
    ],
    ['https without a proxy', { REQUIRE_HTTPS: 'true' }, /^REQUIRE_HTTPS needs TRUST_PROXY/],
    ['a flag that is no flag', { METRICS_OPEN: 'yes' }, /^METRICS_OPEN is yes, not true or false/],
    ['a public URL that is none', { PUBLIC_URL: 'example.com' }, /^PUBLIC_URL is not an http\(s\) URL/],
    ['an ingest process on the embedded store', { ROLE: 'ingest' }, /^ROLE=ingest needs PostgreSQL/],
    ['a worker on the embedded store', { ROLE: 'worker' }, /^ROLE=worker needs PostgreSQL/],
    ['a role that there is not', { ROLE: 'poller' }, /^ROLE is poller, not all, ingest or worker/],
    [
      'dead letters that would go before the rest',
      { RETENTION_DEAD_DAYS: '7' },
      /^RETENTION_DEAD_DAYS is 7, less than RETENTION_DAYS \(30\)/,
    ],
    [
      'dead letters that would go where the rest stays for ever',
      { RETENTION_DAYS: '0', RETENTION_DEAD_DAYS: '7' },
      /^RETENTION_DEAD_DAYS is 7, less than RETENTION_DAYS \(0: for ever\)/,
    ],
    ['an answer limit of nothing', { ANSWER_LIMIT_BYTES: '0' }, /^ANSWER_LIMIT_BYTES is 0, not a whole number/],
    ['an indexed path with a colon', { SOURCE_AI_KEYS: 'a:b' }, /^SOURCE_AI_KEYS must have a path without a colon/],
    [
      'a way to tell duplicates that there is not',
      { SOURCE_AI_DEDUPE: 'hash' },
      /^SOURCE_AI_DEDUPE is hash, not id or body/,
    ],
    [
      'an expected time that is none',
      { SOURCE_AI_EXPECT_EVERY: '1 hour' },
      /^SOURCE_AI_EXPECT_EVERY is 1 hour, not a time from a minute to a year \(30m, 1h, 7d\) or off$/,
    ],
    [
      'an expected time that is too short',
      { SOURCE_AI_EXPECT_EVERY: '59s' },
      /^SOURCE_AI_EXPECT_EVERY is 59s, not a time/,
    ],
    [
      'a redelivery that is no flag',
      { SOURCE_AI_REDELIVERY_REPLAYS_DEAD: '1' },
      /^SOURCE_AI_REDELIVERY_REPLAYS_DEAD is 1/,
    ],
    ['a log format that there is not', { LOG_FORMAT: 'text' }, /^LOG_FORMAT is text, not auto or json or pretty/],
    ['a fraction', { HANDLER_TIMEOUT_MS: '1.5' }, /^HANDLER_TIMEOUT_MS is 1.5/],
  ])('refuses %s', (_, environment: Record<string, string>, message) => {
    expect(faultsOf({ ...sound, ...environment })).toEqual(expect.arrayContaining([expect.stringMatching(message)]))
  })

  test.each([
    [{}, 30],
    [{ RETENTION_DAYS: '7' }, 7],
    [{ RETENTION_DAYS: '0' }, 0],
    [{ RETENTION_DEAD_DAYS: '30' }, 30],
    [{ RETENTION_DEAD_DAYS: '90' }, 90],
    [{ RETENTION_DEAD_DAYS: '0' }, 0],
  ])('with %j keeps dead letters for %d days', (environment, days) => {
    const { config, faults } = readConfig({ ...sound, ...environment })
    expect([config.deadRetentionDays, faults]).toEqual([days, []])
  })

  test.each(['all', 'ingest', 'worker'])('accepts the role %s with PostgreSQL', (role) => {
    const { config, faults } = readConfig({ ...sound, ROLE: role, DATABASE_URL: 'postgres://u:p@h/d' })
    expect([config.role, faults]).toEqual([role, []])
  })

  test.each([
    ['JSON in a pipe', undefined, {}, 'json'],
    ['coloured text on a terminal', undefined, { isTTY: true, hasColors: () => true }, 'coloured'],
    ['plain text on a terminal without colours', undefined, { isTTY: true, hasColors: () => false }, 'plain'],
    ['plain text in a pipe', 'pretty', {}, 'plain'],
    ['coloured text on a terminal', 'pretty', { isTTY: true, hasColors: () => true }, 'coloured'],
    ['JSON on a terminal', 'json', { isTTY: true, hasColors: () => true }, 'json'],
    ['JSON in a pipe', undefined, {}, 'json', '1'],
    ['coloured text in a pipe', 'pretty', {}, 'coloured', '1'],
    ['plain text in a pipe', 'pretty', {}, 'plain', '0'],
  ])('logs %s with LOG_FORMAT=%s', (_, format, output, style, forced?: string) => {
    const environment = { ...sound, LOG_FORMAT: format, FORCE_COLOR: forced }
    const { config, faults } = readConfig(environment, undefined, output)
    expect([config.logStyle, faults]).toEqual([style, []])
  })

  test('never repeats a secret in a fault', () => {
    const faults = faultsOf({ SOURCES: 'ai', SOURCE_AI_SECRET: 'hush-hush,,', SOURCE_AI_SECRET_FILE: '/nowhere' })
    expect(faults.length).toBeGreaterThan(0)
    expect(faults.join()).not.toContain('hush')
    expect(faultsOf({ SOURCE_AI_SECRET_FILE: 'whsec_hush-hush' }).join()).not.toContain('hush')
  })
})
