import type { Config, SourceConfig } from '../domain/config.ts'
import type { Provider } from '../domain/provider.ts'
import type { Source } from '../domain/source.ts'
import { directReaders, type ProviderReaders } from '../pipeline/provider-readers.ts'
import { compilePatterns } from '../pipeline/type-routes.ts'
import { compileVerifier, keyOf, secretFault, secretHeaders, signsUrl } from '../signatures/registry.ts'

export interface BuiltSources {
  readonly sources: ReadonlyMap<string, Source>
  /** Source name → the headers that its provider's module makes from the source's API key; empty if it makes none. */
  readonly apiHeaders: ReadonlyMap<string, ApiHeaders>
  readonly faults: readonly string[]
  /** Settings that have no effect or make the service less safe, but do not prevent its start. */
  readonly warnings: readonly string[]
}

type ApiHeaders = Readonly<Record<string, string>>

const NEVER_STALE =
  'TASK_MAX_WAIT_MS is not below TASK_DEADLINE_MS: tasks expire before they are stale, and no provider is asked for them'

/**
 * Makes the configured sources with their providers and verifiers. `readers` runs the module code that makes the headers from each
 * API key. Faults name the variable to change, and never a secret.
 */
export async function buildSources(
  config: Config,
  providers: ReadonlyMap<string, { readonly provider: Provider }>,
  readers: Pick<ProviderReaders, 'api'> = directReaders,
): Promise<BuiltSources> {
  const apiHeaders = new Map<string, ApiHeaders>()
  const sources = new Map<string, Source>()
  const faults: string[] = []
  const warnings = config.taskMaxWaitMs < config.taskDeadlineMs ? [] : [NEVER_STALE]
  for (const source of config.sources) {
    const provider = providers.get(source.provider)?.provider
    if (provider === undefined) {
      faults.push(
        `${source.variable}_PROVIDER: there is no provider ${source.provider}; known are ${[...providers.keys()].toSorted().join(', ')}`,
      )
      continue
    }
    for (const secret of source.secrets) {
      const fault = secretFault(provider, secret)
      if (fault !== undefined) faults.push(`${source.variable}_SECRET: ${fault}`)
    }
    if (signsUrl(provider.verify) && config.publicUrl === undefined) {
      faults.push(`PUBLIC_URL is not set: provider ${provider.name} signs the URL that it calls`)
    }
    const headers = await headersOf(source, provider, readers)
    if (headers !== undefined) apiHeaders.set(source.name, headers)
    else faults.push(`${source.variable}_API_KEY: provider ${provider.name} makes no headers of it that could be sent`)
    const unusedKey = warningOfKey(source, provider)
    if (unusedKey !== undefined) warnings.push(unusedKey)
    sources.set(source.name, sourceOf(config, source, provider, faults.length === 0))
  }
  return { sources, apiHeaders, faults, warnings: [...warnings, ...warningsOfSecrets(config, sources)] }
}

/** Warns of secrets that are used twice: a person who has a secret for one use could also use it for the other. */
function warningsOfSecrets(
  { sources, opsTokens, opsReadTokens }: Config,
  built: ReadonlyMap<string, Source>,
): readonly string[] {
  const warnings = new Set<string>()
  const holders = new Map<string, string>()
  for (const { name, variable, secrets } of sources) {
    const provider = built.get(name)?.provider
    const own = `${variable}_SECRET`
    for (const secret of provider === undefined ? [] : secrets) {
      if (opsTokens.includes(secret))
        warnings.add(`${own} holds OPS_TOKEN: every sender that can sign for the source can also operate the service`)
      if (opsReadTokens.includes(secret))
        warnings.add(`${own} holds OPS_READ_TOKEN: every sender that can sign for the source can also read all events`)
      const key = provider && keyOf(provider.verify, secret)?.toString('hex')
      const holder = key && holders.get(key)
      if (holder === own) warnings.add(`${own} holds the same secret twice`)
      else if (holder)
        warnings.add(`${own} holds a secret of ${holder}: what is signed for one source is authentic at the other`)
      else if (key) holders.set(key, own)
    }
  }
  return [...warnings]
}

/** The provider's module makes the headers now, so that a fault prevents the start. Undefined: the headers could not be sent. */
async function headersOf(
  { apiKey, apiUrl }: SourceConfig,
  provider: Provider,
  readers: Pick<ProviderReaders, 'api'>,
): Promise<ApiHeaders | undefined> {
  if (provider.api?.headers === undefined || (apiKey === undefined && apiUrl === undefined)) return {}
  try {
    const made = (await readers.api(provider, 'headers', apiKey)) as ApiHeaders
    return Object.entries(made).every(isSound) ? made : undefined
  } catch {
    return undefined
  }
}

const isSound = ([name, value]: readonly [string, unknown]): boolean =>
  HEADER_NAME.test(name) && typeof value === 'string' && HEADER_VALUE.test(value)

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e]*$/

function warningOfKey({ variable, apiKey, apiUrl }: SourceConfig, { name, api }: Provider): string | undefined {
  if (apiKey === undefined) return undefined
  if (api === undefined) return `${variable}_API_KEY serves nothing: provider ${name} has no API that Holdfast knows`
  return api.url === undefined && apiUrl === undefined
    ? `${variable}_API_KEY serves nothing without ${variable}_API_URL: provider ${name} has no URL of its own`
    : undefined
}

function sourceOf(config: Config, source: SourceConfig, provider: Provider, sound: boolean): Source {
  const url = config.publicUrl === undefined ? undefined : `${config.publicUrl}/v1/webhooks/${source.name}`
  const secrets = sound ? source.secrets : []
  return {
    name: source.name,
    provider,
    ...compileVerifier(provider.verify, secrets, url),
    types: source.types,
    accepts: compilePatterns(source.types),
    url,
    dedupe: source.dedupe,
    keys: source.keys,
    redeliveryReplaysDead: source.redeliveryReplaysDead ?? provider.redelivery === 'manual',
    secretHeaders: secretHeaders(provider.verify),
  }
}
