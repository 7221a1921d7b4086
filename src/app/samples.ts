import { HoldfastError } from '../domain/errors.ts'
import { newUid } from '../domain/names.ts'
import type { ConnectedSource, SampleOrder, SendSample, SourceSetup } from '../domain/source.ts'
import { compilePatterns } from '../pipeline/type-routes.ts'
import { sampleDataFor } from '../providers/sample-data.ts'
import { faultOfReading, signedSample } from '../providers/samples.ts'
import { canRegister } from '../registrations/registration-client.ts'
import type { Reloader } from './reload.ts'
import type { Generation, Service } from './wiring.ts'

/** Where a provider that signs the URL is told that it calls, if `PUBLIC_URL` is not set: such a provider needs it anyway. */
const NO_URL = 'http://localhost'

function sourceOf({ connected }: Generation, name: string): ConnectedSource {
  const source = connected.sources.find((each) => each.name === name)
  if (source === undefined) throw new HoldfastError('unknown_source', `there is no source ${name}`)
  return source
}

/** Why no sample can be made here; undefined: one can. */
function faultOf({ parts }: Generation, { provider, secret, variable }: ConnectedSource): string | undefined {
  if (secret === '') return `${variable}_SECRET is not set, so that nothing can be signed`
  if (parts.isolatedModules.has(provider) && provider.samples !== undefined)
    return `the module of provider ${provider.name} makes its samples itself, which only holdfast send runs`
  return undefined
}

export function setupOf(generation: Generation, name: string): SourceSetup {
  const source = sourceOf(generation, name)
  const { provider, variable } = source
  const api = provider.api?.registrations
  return {
    variable,
    steps: provider.setup ?? [],
    missed: provider.missed,
    expectEvery: generation.parts.config.sources.find((each) => each.name === name)?.expectEvery ?? 'learned',
    registrations: api === undefined ? 'no_api' : canRegister(source) ? 'ready' : 'not_configured',
    makesSecret: api?.secret !== undefined,
    types: Object.keys(provider.schemas ?? {}),
    sampleFault: faultOf(generation, source),
  }
}

export function sampleSender({ routed, store, clock }: Service, reloader: Reloader): SendSample {
  return (order) =>
    reloader.use(async (generation) => {
      const source = sourceOf(generation, order.source)
      const fault = faultOf(generation, source)
      if (fault !== undefined) throw new HoldfastError('not_configured', fault)
      if (routed.faults().length > 0 || store.faults().length > 0)
        throw new HoldfastError('unavailable', 'events cannot be stored now')
      const { parts, pipeline } = generation
      const { headers, body, query } = sampleOf(source, order, routed, clock())
      const reading = await parts.readers.event(source.provider, headers, body, clock())
      const misread = faultOfReading(source.provider, reading, order.type)
      if (misread !== undefined) throw new HoldfastError('invalid_request', misread)
      const received = await pipeline.receiver.receive({
        source,
        headers,
        body,
        query,
        requestId: order.requestId,
        isSample: true,
      })
      if ('uid' in received) return received.uid
      throw new HoldfastError('unavailable', `the service refused its own sample: ${received.outcome}`)
    })
}

/** Handlers may need data of the schema that they have; a module that makes its own samples knows its own form better. */
function sampleOf(
  source: ConnectedSource,
  { type, data }: SampleOrder,
  { handlers }: Pick<Service['routed'], 'handlers'>,
  nowMs: number,
) {
  const { provider, name, secret, url } = source
  const wanting = handlers().filter(
    (handler) => (handler.source === undefined || handler.source === name) && compilePatterns(handler.types)(type),
  )
  const made = provider.samples === undefined ? sampleDataFor(type, provider, wanting) : undefined
  return signedSample(provider, {
    id: `sample_${newUid()}`,
    type,
    data: data ?? made,
    secret,
    url: url ?? `${NO_URL}/v1/webhooks/${name}`,
    shipped: undefined,
    nowMs,
  })
}
