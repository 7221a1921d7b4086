import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { UnloadableError } from '../dispatch/pool/handler-process.ts'
import { HandlerPool } from '../dispatch/pool/pool.ts'
import type { Config } from '../domain/config.ts'
import { messageOf } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import type { Provider } from '../domain/provider.ts'
import type { Source } from '../domain/source.ts'
import { secretsIn } from '../log/redact.ts'
import { createIsolatedReaders, type IsolatedReaders } from '../modules/isolated-readers.ts'
import { loadInThread } from '../modules/load-modules.ts'
import { runsCode } from '../pipeline/provider-readers.ts'
import { compileRoutes, providerChecks, type Route } from '../pipeline/routes.ts'
import { type LoadedProvider, loadProviders } from '../providers/load.ts'
import type { ReadConfig } from './config.ts'
import { inheritedEnvironment } from './environment.ts'
import { type BuiltSources, buildSources } from './sources.ts'

/** Everything that a configuration names, loaded and checked; only the store is still closed. */
export interface ServiceParts {
  readonly config: Config
  readonly sources: ReadonlyMap<string, Source>
  readonly handlers: readonly HandlerDefinition[]
  readonly route: Route
  readonly pool: HandlerPool
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  /** Providers of sources whose modules are users' and have code, and the file URLs of those. */
  readonly isolatedModules: ReadonlyMap<Provider, string>
  /** Runs that code, in threads of its own. */
  readonly readers: IsolatedReaders
  readonly apiHeaders: BuiltSources['apiHeaders']
  /** What keeps the service from starting; when there is any, the rest is as good as it gets. */
  readonly faults: readonly string[]
  /** What serves nothing as it is configured. */
  readonly warnings: readonly string[]
}

/**
 * Loads provider and handler modules and brings sources together, collecting every fault on the way. Users' modules are loaded
 * in threads and processes alone. Those run from here on: whoever calls this closes them (`closeParts`).
 */
export async function prepare(
  { config, faults: known }: ReadConfig,
  log: Logger,
  onDroppedLines: (lines: number) => void = () => {},
): Promise<ServiceParts> {
  const faults = [...known]
  const environment = inheritedEnvironment()
  const loaded = await loadProviders(config.providersDir, (url) => loadInThread(url, { environment, log }))
  const isolatedModules = isolatedModulesOf(config, loaded.providers)
  const readers = createIsolatedReaders(isolatedModules, { environment, log })
  const built = await buildSources(config, loaded.providers, readers)
  faults.push(...loaded.faults, ...built.faults)

  const providerModules = Object.fromEntries([...loaded.providers].map(([name, { module }]) => [name, module]))
  const pool = new HandlerPool({
    data: {
      handlersDir: config.handlersDir,
      providerModules,
      logLevel: config.logLevel,
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
  let handlers: readonly HandlerDefinition[] = []
  let route: Route = compileRoutes([])
  try {
    // One that only accepts has none, and need not even have their modules.
    if (config.role !== 'ingest') handlers = await pool.start()
    route = compileRoutes(handlers)
  } catch (error) {
    faults.push(...(error instanceof UnloadableError ? error.faults : [messageOf(error)]))
  }
  for (const { provider } of built.sources.values()) providerChecks(provider)
  for (const { name, source } of handlers) {
    if (source !== undefined && !built.sources.has(source))
      log.warn({ handler: name, source }, 'a handler waits for a source that is not configured')
  }
  const own = { providerModules, isolatedModules, readers }
  const { sources, apiHeaders, warnings } = built
  return { config, sources, apiHeaders, handlers, route, pool, ...own, faults, warnings }
}

/** Ends what runs since `prepare`. */
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

/** Bytes of a generated key; Standard Webhooks asks for 24 to 64. */
const KEY_BYTES = 32

/**
 * Makes the secret of a service that starts with no configuration, in a file that only its owner may read. Throws if
 * the file is there already or cannot be written.
 */
export function generateSecret(file: string): string {
  const secret = `whsec_${randomBytes(KEY_BYTES).toString('base64')}`
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: 'wx' })
  return secret
}
