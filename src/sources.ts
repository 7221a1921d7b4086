import type { Config, SourceConfig } from './domain/config.ts'
import { compilePatterns } from './domain/pattern.ts'
import type { Provider } from './domain/provider.ts'
import type { Source } from './domain/source.ts'
import { secretFault, secretHeaders } from './signatures/secrets.ts'
import { compileVerifier } from './signatures/verifier.ts'

/** Brings each configured source together with its provider. Faults name the variable to mend, never a secret. */
export function buildSources(
  config: Config,
  providers: ReadonlyMap<string, { readonly provider: Provider }>,
): { readonly sources: ReadonlyMap<string, Source>; readonly faults: readonly string[] } {
  const sources = new Map<string, Source>()
  const faults: string[] = []
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
    const signsUrl = provider.verify.scheme === 'hmac' && provider.verify.signed.includes('{url}')
    if (signsUrl && config.publicUrl === undefined) {
      faults.push(`PUBLIC_URL is not set: provider ${provider.name} signs the URL that it calls`)
    }
    sources.set(source.name, sourceOf(config, source, provider, faults.length === 0))
  }
  return { sources, faults }
}

function sourceOf(config: Config, source: SourceConfig, provider: Provider, sound: boolean): Source {
  const url = config.publicUrl === undefined ? undefined : `${config.publicUrl}/v1/webhooks/${source.name}`
  return {
    name: source.name,
    provider,
    verify: compileVerifier(provider.verify, sound ? source.secrets : [], url),
    types: source.types,
    accepts: compilePatterns(source.types),
    url,
    secretHeaders: secretHeaders(provider.verify),
  }
}
