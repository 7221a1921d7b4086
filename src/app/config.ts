import { lstatSync, readFileSync, statSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { type Config, DEDUPE_MODES, type LogStyle, ROLES, type SourceConfig } from '../domain/config.ts'
import type { SettingInForce } from '../domain/configuration.ts'
import { messageOf } from '../domain/errors.ts'
import { MAX_RETRY_ATTEMPTS, MAX_TASK_MS, MAX_TIMER_MS } from '../domain/limits.ts'
import { MAX_KEYS } from '../domain/payload-index.ts'
import { faultOfPath, plainPath } from '../domain/payload-match.ts'
import { databaseFile, databaseUrlFaults, namesPostgres } from '../storage/shared/database-url.ts'
import { type Environment, EnvironmentReader } from './environment.ts'
import { readOpsAccess } from './ops-access.ts'
import { settingsInForce } from './settings.ts'
import { unreadNames } from './unread-names.ts'

export interface ReadConfig {
  /** A faulty setting has its default here, so that everything else can still be checked. */
  readonly config: Config
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
  /** Each setting that is set → SHA-256 of its value. Two configurations differ in the settings whose digests differ. */
  readonly digests: ReadonlyMap<string, string>
  /** All settings that there are, without the secret values. */
  readonly settings: readonly SettingInForce[]
  /** The files from which values were read. */
  readonly files: readonly string[]
  /** Settings that have changed since the start, and that only a restart can change. */
  readonly needRestart: readonly string[]
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
const LOG_FORMATS = ['auto', 'json', 'pretty'] as const
const MAX_RETENTION_DAYS = 36_500

/** The handlers that come with Holdfast. */
const SHIPPED_HANDLERS = join(import.meta.dirname, '..', 'handlers')

/**
 * Reads, defaults and checks the whole configuration. A fault names the variable, and never a value that may be secret. Relative
 * folders of modules are taken from `directory`. `output`: where the log goes.
 */
export function readConfig(
  environment: Environment,
  directory = process.cwd(),
  output: Output = process.stdout,
): ReadConfig {
  const env = new EnvironmentReader(environment)
  const publicUrl = env.url('PUBLIC_URL')
  const publicHost = env.text('HOST', '0.0.0.0')
  const publicPort = env.integer('PORT', 8080, 0, 65_535)
  const opsHost = env.text('OPS_HOST', '127.0.0.1')
  const opsPort = env.integer('OPS_PORT', 8081, 0, 65_535)
  if (publicPort === opsPort && publicPort !== 0 && (publicHost === opsHost || isAny(publicHost) || isAny(opsHost)))
    env.fault(`PORT and OPS_PORT are both ${publicPort}: each listener needs its own`)
  const access = readOpsAccess(env, opsHost)
  const trustProxy = env.list('TRUST_PROXY') ?? []
  for (const range of trustProxy) if (!isRange(range)) env.fault(`TRUST_PROXY: ${range} is not an address or CIDR`)
  const requireHttps = env.flag('REQUIRE_HTTPS')
  if (requireHttps && trustProxy.length === 0) {
    env.fault(
      'REQUIRE_HTTPS needs TRUST_PROXY: this service speaks plain HTTP, and only a proxy can tell what came by https',
    )
  }
  const databaseUrl = env.text('DATABASE_URL', DEFAULT_DATABASE_URL)
  for (const fault of databaseUrlFaults(databaseUrl)) env.fault(fault)
  const roleName = env.text('ROLE', 'all')
  const role = ROLES.find((each) => each === roleName)
  if (role === undefined) env.fault(`ROLE is ${roleName}, not all, ingest or worker`)
  else if (role !== 'all' && !namesPostgres(databaseUrl))
    env.fault(`ROLE=${role} needs PostgreSQL: the embedded store has one process`)
  const logLevel = env.text('LOG_LEVEL', 'info')
  if (!LOG_LEVELS.includes(logLevel)) env.fault(`LOG_LEVEL is ${logLevel}, not one of ${LOG_LEVELS.join(', ')}`)

  const config: Config = {
    publicHost,
    publicPort,
    opsHost,
    opsPort,
    ...access,
    metricsOpen: env.flag('METRICS_OPEN'),
    publicUrl,
    databaseUrl,
    role: role ?? 'all',
    ...readSources(env, databaseUrl),
    handlersDir: modulesDir(env, 'HANDLERS_DIR', join(directory, 'handlers'), SHIPPED_HANDLERS) ?? SHIPPED_HANDLERS,
    providersDir: modulesDir(env, 'PROVIDERS_DIR', join(directory, 'providers')),
    handlerProcesses: env.integer('HANDLER_PROCESSES', 2, 1, 64),
    handlerConcurrency: env.integer('HANDLER_CONCURRENCY', 16, 1, 1_024),
    handlerTimeoutMs: env.integer('HANDLER_TIMEOUT_MS', 30_000, 1, MAX_TIMER_MS),
    handlerMemoryMb: env.integer('HANDLER_MEMORY_MB', 512, 128, 1_048_576),
    retry: readRetry(env),
    taskMaxWaitMs: env.integer('TASK_MAX_WAIT_MS', 300_000, 0, MAX_TASK_MS),
    taskDeadlineMs: env.integer('TASK_DEADLINE_MS', 86_400_000, 1, MAX_TASK_MS),
    pollIntervalMs: env.integer('POLL_INTERVAL_MS', 5_000, 10, MAX_TIMER_MS),
    answerLimitBytes: env.integer('ANSWER_LIMIT_BYTES', 16 * 1_048_576, 1_024, 64 * 1_048_576),
    bodyLimitBytes: env.integer('BODY_LIMIT_BYTES', 1_048_576, 1, 64 * 1_048_576),
    trustProxy,
    requireHttps,
    ...readRetention(env),
    shutdownGraceMs: env.integer('SHUTDOWN_GRACE_MS', 10_000, 0, MAX_TIMER_MS),
    logLevel: LOG_LEVELS.includes(logLevel) ? logLevel : 'info',
    logStyle: readLogStyle(env, output, environment.FORCE_COLOR),
  }
  const unread = unreadNames(environment, env.settings, config.sources)
  return { config, warnings: [...env.warnings, ...unread], needRestart: [], ...readBy(env, config) }
}

const readBy = (
  { faults, digests, files, given }: EnvironmentReader,
  { sources }: Config,
): Pick<ReadConfig, 'faults' | 'digests' | 'files' | 'settings'> => ({
  faults,
  digests,
  files: [...files],
  settings: settingsInForce(given.values(), sources),
})

const readRetry = (env: EnvironmentReader): Config['retry'] => ({
  maxAttempts: env.integer('RETRY_MAX_ATTEMPTS', 12, 1, MAX_RETRY_ATTEMPTS),
  baseMs: env.integer('RETRY_BASE_MS', 1_000, 0, MAX_TIMER_MS),
  capMs: env.integer('RETRY_CAP_MS', 3_600_000, 0, MAX_TIMER_MS),
})

/** The folder that the variable names, which may be missing; or else the usual one, if it is there; or else `shipped`. */
function modulesDir(env: EnvironmentReader, variable: string, usual: string, shipped?: string): string | undefined {
  const named = env.text(variable)
  if (named !== undefined) {
    const folder = resolve(dirname(usual), named)
    env.means(variable, folder)
    return folder
  }
  const isThere = statSync(usual, { throwIfNoEntry: false })?.isDirectory() === true
  env.otherwise(variable, isThere ? usual : (shipped ?? 'none'))
  if (isThere) return usual
  // Without this fault Holdfast would run without the user's modules, and say nothing.
  if (lstatSync(usual, { throwIfNoEntry: false })?.isSymbolicLink() === true)
    env.fault(`${usual} is a symbolic link that leads to no folder`)
  return shipped
}

/** Node knows whether a terminal can show colours, and what its user wants (`NO_COLOR`, `FORCE_COLOR`); other outputs have no `hasColors`. */
interface Output {
  readonly isTTY?: boolean
  readonly hasColors?: () => boolean
}

function readLogStyle(env: EnvironmentReader, output: Output, forced: string | undefined): LogStyle {
  const format = env.word('LOG_FORMAT', LOG_FORMATS)
  if (format === 'json' || (format === 'auto' && output.isTTY !== true)) return 'json'
  return (output.hasColors?.() ?? /^(?:[123]|true)$/.test(forced ?? '')) ? 'coloured' : 'plain'
}

function readRetention(env: EnvironmentReader): Pick<Config, 'retentionDays' | 'deadRetentionDays'> {
  const retentionDays = env.integer('RETENTION_DAYS', 30, 0, MAX_RETENTION_DAYS)
  const deadRetentionDays = env.integer('RETENTION_DEAD_DAYS', retentionDays, 0, MAX_RETENTION_DAYS)
  if (deadRetentionDays === 0 || (retentionDays > 0 && deadRetentionDays >= retentionDays))
    return { retentionDays, deadRetentionDays }
  env.fault(
    `RETENTION_DEAD_DAYS is ${deadRetentionDays}, less than RETENTION_DAYS (${retentionDays === 0 ? '0: for ever' : retentionDays}): dead letters can only be kept longer`,
  )
  return { retentionDays, deadRetentionDays: retentionDays }
}

const isAny = (host: string): boolean => host === '0.0.0.0' || host === '::'

function isRange(range: string): boolean {
  const [address = '', bits, ...rest] = range.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  if (bits === undefined) return true
  try {
    if (!/^[1-9]\d{0,2}$/.test(bits)) return false // A proxy range of all addresses would trust every client.
    new BlockList().addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
    return true
  } catch {
    return false
  }
}

/** Where events are stored unless `DATABASE_URL` is set. */
const DEFAULT_DATABASE_URL = 'file:data/holdfast.db'

/** The name of the source, and of its provider, if the service starts without configuration. */
const DEFAULT_SOURCE = 'ai'

const SOURCE_NAME = /^[a-z0-9-]{1,64}$/

function readSources(env: EnvironmentReader, databaseUrl: string): Pick<Config, 'sources' | 'generatedSecretFile'> {
  const names = env.list('SOURCES') ?? [DEFAULT_SOURCE]
  env.otherwise('SOURCES', DEFAULT_SOURCE)
  if (names.length === 0) env.fault('SOURCES names no source')
  const sources = [...new Set(names)].filter((name) => {
    if (!SOURCE_NAME.test(name)) env.fault(`SOURCES: ${JSON.stringify(name)} is not a name of a-z, 0-9 and -`)
    return SOURCE_NAME.test(name)
  })
  if (new Set(names).size < names.length) env.fault('SOURCES names a source twice')
  const variables = new Map<string, string>()
  for (const name of sources) {
    const variable = variableOf(name)
    const other = variables.get(variable)
    if (other !== undefined) env.fault(`SOURCES: ${other} and ${name} would both be configured by ${variable}_…`)
    variables.set(variable, name)
  }
  const isConfigured = env.names('SOURCES') || env.names(variableOf(DEFAULT_SOURCE))
  const secretFile = secretFileOf(databaseUrl)
  const read = sources.map((name) => readSource(env, name, secretFile, !isConfigured && secretFile !== undefined))
  return { sources: read, ...(!isConfigured && secretFile !== undefined && { generatedSecretFile: secretFile }) }
}

const variableOf = (name: string): string => `SOURCE_${name.toUpperCase().replaceAll('-', '_')}`

/**
 * The file with the secret that a first start made: beside the embedded store, or beside its default path if `DATABASE_URL` is
 * faulty. There is none with PostgreSQL, whose replicas all need the same secret.
 */
const secretFileOf = (databaseUrl: string): string | undefined =>
  namesPostgres(databaseUrl)
    ? undefined
    : join(dirname(databaseFile(databaseUrl) ?? databaseFile(DEFAULT_DATABASE_URL) ?? ''), `${DEFAULT_SOURCE}.secret`)

const ADVICE = '. A start without settings of sources makes one, which stays if SOURCES is set later'

/** Source `ai` uses the generated secret as long as it has no other, whatever else is configured. */
function readSource(
  env: EnvironmentReader,
  name: string,
  secretFile: string | undefined,
  makesSecret: boolean,
): SourceConfig {
  const variable = variableOf(name)
  const provider = env.text(`${variable}_PROVIDER`, name)
  const given = env.secrets(`${variable}_SECRET`)
  const isDefault = given === undefined && name === DEFAULT_SOURCE && provider === DEFAULT_SOURCE
  const secrets =
    given ?? (isDefault && secretFile !== undefined ? readSecretFile(secretFile, env, `${variable}_SECRET`) : undefined)
  if (secrets === undefined && !makesSecret)
    env.fault(
      `${variable}_SECRET is not set: source ${name} would accept anything${isDefault && secretFile !== undefined ? ADVICE : ''}`,
    )
  if (given?.includes('')) env.fault(`${variable}_SECRET holds an empty secret`)
  const types = env.list(`${variable}_TYPES`) ?? ['*']
  env.otherwise(`${variable}_TYPES`, '*')
  if (types.includes('')) env.fault(`${variable}_TYPES holds an empty pattern`)
  const apiKey = env.text(`${variable}_API_KEY`)
  if (apiKey !== undefined && !/^[\x20-\x7e]+$/.test(apiKey))
    env.fault(`${variable}_API_KEY holds a character that no header can carry`)
  const redeliveryReplaysDead = env.optionalFlag(`${variable}_REDELIVERY_REPLAYS_DEAD`)
  env.otherwise(`${variable}_REDELIVERY_REPLAYS_DEAD`, 'as its provider says')
  const apiUrl = env.url(`${variable}_API_URL`)
  env.otherwise(`${variable}_API_URL`, 'that of its provider, if there is one')
  return {
    name,
    variable,
    apiKey,
    dedupe: env.word(`${variable}_DEDUPE`, DEDUPE_MODES),
    keys: readKeys(env, `${variable}_KEYS`),
    redeliveryReplaysDead,
    apiUrl,
    expectEvery: readExpectEvery(env, `${variable}_EXPECT_EVERY`),
    provider,
    secrets: (secrets ?? []).filter((secret) => secret !== ''),
    types: types.filter((type) => type !== ''),
  }
}

function readExpectEvery(env: EnvironmentReader, name: string): SourceConfig['expectEvery'] {
  const given = env.duration(name, ['off'])
  env.otherwise(name, 'learned')
  return given ?? 'learned'
}

function readKeys(env: EnvironmentReader, name: string): readonly string[] {
  const keys = [...new Set((env.list(name) ?? []).map(plainPath))]
  for (const fault of new Set(keys.map(faultOfPath))) if (fault !== undefined) env.fault(`${name} ${fault}`)
  if (keys.length > MAX_KEYS) env.fault(`${name} has more than ${MAX_KEYS} paths`)
  return keys
}

/** Undefined if there is no such file. */
function readSecretFile(file: string, env: EnvironmentReader, name: string): readonly string[] | undefined {
  try {
    const secret = readFileSync(file, 'utf8').trim()
    env.readFrom(file, name, secret)
    if (secret === '') env.fault(`${file} is empty: remove it, and a new secret is made`)
    return [secret]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    env.fault(`${file} cannot be read: ${messageOf(error)}`)
    return []
  }
}
