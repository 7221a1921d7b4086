import type { Logger } from 'pino'
import type { ReadConfig } from './config/config.ts'
import { inheritedEnvironment } from './config/environment.ts'
import { UnloadableError } from './dispatch/pool/handler-process.ts'
import { HandlerPool } from './dispatch/pool/pool.ts'
import type { Config } from './domain/config.ts'
import { messageOf } from './domain/errors.ts'
import type { HandlerRegistration } from './domain/handler.ts'
import type { Provider } from './domain/provider.ts'
import { readsByCode } from './domain/readers.ts'
import { compileRoutes, providerChecks, type Route } from './domain/routes.ts'
import type { Source } from './domain/source.ts'
import { generateSecret } from './generated-secret.ts'
import { type LoadedProvider, loadProviders } from './providers/load.ts'
import { buildSources } from './sources.ts'

/** Everything that a configuration names, loaded and checked; only the store is still closed. */
export interface Prepared {
  readonly config: Config
  readonly sources: ReadonlyMap<string, Source>
  readonly registrations: readonly HandlerRegistration[]
  readonly route: Route
  readonly pool: HandlerPool
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  /** Providers of sources whose modules are users' and read by code, and the file URLs of those. */
  readonly ownReaders: ReadonlyMap<Provider, string>
  /** What keeps the service from starting; when there is any, the rest is as good as it gets. */
  readonly faults: readonly string[]
  /** What serves nothing as it is configured. */
  readonly warnings: readonly string[]
}

/**
 * Loads provider and handler modules and brings sources together, collecting every fault on the way. The handler
 * processes run from here on: whoever calls this closes it.
 */
export async function prepare(
  { config, faults: known }: ReadConfig,
  log: Logger,
  onDroppedLines: (lines: number) => void = () => {},
): Promise<Prepared> {
  const faults = [...known]
  const loaded = await loadProviders(config.providersDir)
  const built = buildSources(config, loaded.providers)
  faults.push(...loaded.faults, ...built.faults)

  const providerModules = Object.fromEntries([...loaded.providers].map(([name, { module }]) => [name, module]))
  const pool = new HandlerPool({
    data: {
      handlersDir: config.handlersDir,
      providerModules,
      logLevel: config.logLevel,
    },
    environment: inheritedEnvironment(),
    processes: config.handlerProcesses,
    concurrency: config.handlerConcurrency,
    timeoutMs: config.handlerTimeoutMs,
    memoryMb: config.handlerMemoryMb,
    onDroppedLines,
    log,
  })
  let registrations: readonly HandlerRegistration[] = []
  let route: Route = compileRoutes([])
  try {
    // One that only accepts has none, and need not even have their modules.
    if (config.role !== 'ingest') registrations = await pool.start()
    route = compileRoutes(registrations)
  } catch (error) {
    faults.push(...(error instanceof UnloadableError ? error.faults : [messageOf(error)]))
  }
  for (const { provider } of built.sources.values()) providerChecks(provider)
  for (const { name, source } of registrations) {
    if (source !== undefined && !built.sources.has(source))
      log.warn({ handler: name, source }, 'a handler waits for a source that is not configured')
  }
  const ownReaders = ownReadersOf(loaded.providers, built.sources)
  const { sources, warnings } = built
  return { config, sources, registrations, route, pool, providerModules, ownReaders, faults, warnings }
}

function ownReadersOf(
  providers: ReadonlyMap<string, LoadedProvider>,
  sources: ReadonlyMap<string, Source>,
): ReadonlyMap<Provider, string> {
  const used = new Set([...sources.values()].map(({ provider }) => provider))
  const own = [...providers.values()].filter(
    ({ provider, isOwn }) => isOwn && used.has(provider) && readsByCode(provider),
  )
  return new Map(own.map(({ provider, module }) => [provider, module]))
}

/** Makes the secret that a first start without configuration needs, if it can start. Gives the configuration with it, and what went wrong. */
export function withGeneratedSecret({ config, faults }: ReadConfig, log: Logger): ReadConfig {
  const file = config.generatedSecretFile
  const [source] = config.sources
  if (file === undefined || source === undefined || source.secrets.length > 0 || faults.length > 0)
    return { config, faults }
  try {
    const secrets = [generateSecret(file)]
    log.info({ source: source.name, file }, 'made a secret for a service without configuration')
    return { config: { ...config, sources: [{ ...source, secrets }] }, faults }
  } catch (error) {
    const fault = `${source.variable}_SECRET is not set, and ${file} cannot be written: ${messageOf(error)}`
    return { config, faults: [...faults, fault] }
  }
}
