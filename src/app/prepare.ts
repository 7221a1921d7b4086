import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { UnloadableError } from '../dispatch/pool/handler-process.ts'
import { HandlerPool } from '../dispatch/pool/pool.ts'
import { attemptsOf, type Config } from '../domain/config.ts'
import { messageOf } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { retryWarnings } from '../domain/handler-policy.ts'
import type { Provider } from '../domain/provider.ts'
import type { Source } from '../domain/source.ts'
import { createSecretFilter, secretsIn } from '../log/redact.ts'
import { createIsolatedReaders, type IsolatedReaders } from '../modules/isolated-readers.ts'
import { loadInThread } from '../modules/load-modules.ts'
import { runsCode } from '../pipeline/provider-readers.ts'
import { compileRoutes, providerChecks, type Route } from '../pipeline/routes.ts'
import { type LoadedProvider, loadProviders } from '../providers/load-providers.ts'
import { newStandardSecret } from '../signatures/standard-webhooks.ts'
import type { ReadConfig } from './config.ts'
import { inheritedEnvironment } from './environment.ts'
import { type BuiltSources, buildSources } from './sources.ts'
import { misspeltTypes } from './unknown-types.ts'

/** The parts of the service that the configuration names, loaded and checked, without the store. */
export interface ServiceParts extends Pick<ReadConfig, 'digests' | 'files' | 'needRestart' | 'settings'> {
  readonly config: Config
  readonly sources: ReadonlyMap<string, Source>
  readonly handlers: readonly HandlerDefinition[]
  readonly route: Route
  readonly pool: HandlerPool
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  /** Providers of configured sources whose modules are users' and have code → file URL of the module. */
  readonly isolatedModules: ReadonlyMap<Provider, string>
  /** Reads events with the modules of all providers; runs the code of `isolatedModules` in threads of its own. */
  readonly readers: IsolatedReaders
  readonly apiHeaders: BuiltSources['apiHeaders']
  /** Why the service cannot start. If there are faults, the other members may be incomplete. */
  readonly faults: readonly string[]
  /** Settings that have no effect, or make the service less safe. */
  readonly warnings: readonly string[]
}

export interface PrepareOptions {
  readonly onDroppedLines?: (lines: number) => void
  /** Which handler processes must have loaded; the others load later. */
  readonly wait?: 'all' | 'first'
  /** Breaks off the loading of modules, which then counts as a fault. */
  readonly signal?: AbortSignal
}

/**
 * Loads the provider and handler modules and makes the sources; collects every fault. Users' modules are loaded only in threads and
 * processes of their own, which run until the caller closes them (`closeParts`).
 */
export async function prepare(
  { config, faults: known, warnings: told, ...settings }: ReadConfig,
  log: Logger,
  { onDroppedLines = () => {}, wait = 'all', signal }: PrepareOptions = {},
): Promise<ServiceParts> {
  const faults = [...known]
  const environment = inheritedEnvironment()
  const loaded = await loadProviders(config.providersDir, (url) =>
    loadInThread(url, { environment, log, ...(signal !== undefined && { signal }) }),
  )
  const isolatedModules = isolatedModulesOf(config, loaded.providers)
  const readers = createIsolatedReaders(isolatedModules, { environment, log })
  const built = await buildSources(config, loaded.providers, readers)
  const { line: withoutSecrets } = createSecretFilter(secretsIn(config))
  // A module may throw an error that has a secret of its environment.
  const add = (more: readonly string[]): void => more.forEach((fault) => faults.push(withoutSecrets(fault).trimEnd()))
  add([...loaded.faults, ...built.faults])

  const providerModules = Object.fromEntries([...loaded.providers].map(([name, { module }]) => [name, module]))
  const pool = new HandlerPool({
    data: {
      handlersDir: config.handlersDir,
      providerModules,
      logLevel: config.logLevel,
      logStyle: config.logStyle,
      secrets: secretsIn(config),
    },
    environment,
    processes: config.handlerProcesses,
    concurrency: config.handlerConcurrency,
    timeoutMs: config.handlerTimeoutMs,
    memoryMb: config.handlerMemoryMb,
    onDroppedLines,
    log,
  })
  const breakOff = (): void => void pool.close()
  signal?.addEventListener('abort', breakOff)
  let handlers: readonly HandlerDefinition[] = []
  let route: Route = compileRoutes([])
  try {
    // A process with ROLE=ingest runs no handlers, and may not even have their modules.
    if (config.role !== 'ingest' && signal?.aborted !== true) handlers = await pool.start(wait)
    route = compileRoutes(handlers)
  } catch (error) {
    await pool.close()
    add(error instanceof UnloadableError ? error.faults : [messageOf(error)])
  } finally {
    signal?.removeEventListener('abort', breakOff)
  }
  for (const { provider } of built.sources.values()) providerChecks(provider)
  const waiting = handlers.flatMap(({ name, source }) =>
    source === undefined || built.sources.has(source)
      ? []
      : [`handler ${name} waits for source ${source}, which is not configured`],
  )
  const own = { providerModules, isolatedModules, readers }
  const { sources, apiHeaders } = built
  const misspelt = misspeltTypes(
    handlers,
    [...loaded.providers.values()].map(({ provider }) => provider),
  )
  const policies = retryWarnings(handlers, attemptsOf(config))
  const warnings = [...told, ...built.warnings, ...waiting, ...misspelt, ...policies]
  return { config, ...settings, sources, apiHeaders, handlers, route, pool, ...own, faults, warnings }
}

/** Ends the threads and processes that `prepare` started. */
export async function closeParts({ pool, readers }: Pick<ServiceParts, 'pool' | 'readers'>): Promise<void> {
  await Promise.all([pool.close(), readers.close()])
}

function isolatedModulesOf(
  { sources }: Config,
  providers: ReadonlyMap<string, LoadedProvider>,
): ReadonlyMap<Provider, string> {
  const used = new Set(sources.map(({ provider }) => provider))
  const own = [...providers.values()].filter(
    ({ provider, isOwn }) => isOwn && used.has(provider.name) && runsCode(provider),
  )
  return new Map(own.map(({ provider, module }) => [provider, module]))
}

/**
 * Makes the secret that a first start without configuration needs, unless the configuration has faults. Returns the configuration
 * with the secret, or with one more fault if the secret cannot be written.
 */
export function withGeneratedSecret(read: ReadConfig, log: Logger): ReadConfig {
  const { config, faults } = read
  const file = config.generatedSecretFile
  const [source] = config.sources
  if (file === undefined || source === undefined || source.secrets.length > 0 || faults.length > 0) return read
  try {
    const secrets = [generateSecret(file)]
    log.info({ source: source.name, file }, 'made a secret for a service without configuration')
    const settings = read.settings.map((each) =>
      each.name === `${source.variable}_SECRET`
        ? { ...each, from: 'file' as const, file, secret: { count: 1, changedAtMs: Date.now() } }
        : each,
    )
    return { ...read, config: { ...config, sources: [{ ...source, secrets }] }, settings }
  } catch (error) {
    const fault = `${source.variable}_SECRET is not set, and ${file} cannot be written: ${messageOf(error)}`
    return { ...read, faults: [...faults, fault] }
  }
}

/**
 * Makes the secret of a service that starts without configuration, in a file that only its owner may read. Throws if the file
 * exists or cannot be written.
 */
function generateSecret(file: string): string {
  const secret = newStandardSecret()
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: 'wx' })
  return secret
}
