import { newUid } from '../domain/names.ts'
import type { EventMap, Provider, Sample, SampleEvent, Selector } from '../domain/provider.ts'
import { type ReadResult, readEvent } from '../pipeline/read-event.ts'
import { bodyFields, signRequest } from '../signatures/registry.ts'

interface SampleRequest {
  /** The content type, and headers that carry fields of the event. The signature's headers are added later. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

type ShippedSamples = typeof import('./samples/index.ts')

/** The samples that come with Holdfast; undefined if this installation leaves them out, as the image does. */
export async function installedSamples(): Promise<ShippedSamples | undefined> {
  try {
    return await import('./samples/index.ts')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

/**
 * An event in the form in which its provider would send it, not signed yet. If neither the provider module nor `shipped` makes the
 * sample, it follows from the event map. The body contains `secret` if the signature scheme expects it there.
 */
export function sampleRequest(
  provider: Provider,
  event: SampleEvent,
  secret: string,
  shipped: ShippedSamples | undefined,
): SampleRequest {
  const { verify, contentTypes = [] } = provider
  const usual = (): SampleEvent => ({ ...event, data: event.data ?? shipped?.sampleData(event.type) })
  const make = provider.samples ?? shipped?.byProvider.get(provider)
  const { headers = {}, body } = make === undefined ? sampleByMap(provider.event, usual()) : make(event)
  const whole = { ...body }
  for (const [path, value] of Object.entries(bodyFields(verify, secret, event.nowMs))) putAt(whole, path, value)
  const [contentType = 'application/json'] = contentTypes
  return { headers: { 'content-type': contentType, ...headers }, body: Buffer.from(JSON.stringify(whole)) }
}

interface SampleToSign extends Pick<SampleEvent, 'type' | 'data'> {
  readonly secret: string
  /** The public URL, for providers that sign it. */
  readonly url: string
  readonly shipped: ShippedSamples | undefined
  /** Absent: one of its own. */
  readonly id?: string
  /** Absent: the time of the system's clock. */
  readonly nowMs?: number
}

/** A sample event with an id of its own, signed as its provider signs it. `query`: the query string without its `?`. */
export function signedSample(
  provider: Provider,
  { type, data, secret, url, shipped, id = `evt_${newUid()}`, nowMs = Date.now() }: SampleToSign,
): SampleRequest & { readonly query: string } {
  const { headers, body } = sampleRequest(provider, { id, type, data, nowMs }, secret, shipped)
  const signature = signRequest(provider.verify, secret, { id, body, headers, url, nowMs })
  return { headers: { ...headers, ...signature.headers }, body, query: signature.query }
}

/**
 * Why the provider's module would not read the sample as an event of this type; undefined if it would. Finds out by reading it: a
 * module may read by code, and the types of some providers all have one form.
 */
export function sampleFault(provider: Provider, { headers, body }: SampleRequest, type: string): string | undefined {
  return faultOfReading(provider, readEvent(provider, headers, body, 0), type)
}

/** The same, of what a module has read in its own thread. */
export function faultOfReading(provider: Provider, reading: ReadResult, type: string): string | undefined {
  if (!reading.ok) return `there is no sample for provider ${provider.name}: ${reading.reasons.join('; ')}`
  const read = reading.fields.type
  return read === type ? undefined : `provider ${provider.name} has no type ${type}: it would be read as ${read}`
}

/** The tutorial's standard event structure. */
export const standardSample = ({ id, type, data = {}, nowMs }: SampleEvent): Sample => ({
  body: { id, type, created_at: new Date(nowMs).toISOString(), api_version: '2025-01-01', data },
})

function sampleByMap(map: Provider['event'], event: SampleEvent): Sample {
  if (typeof map === 'function') return standardSample(event)
  const { id, type, data = {}, nowMs } = event
  const headers: Record<string, string> = {}
  const body: Record<string, unknown> = {}
  const put = (field: keyof EventMap, value: unknown): void => {
    const selector = firstOf(map[field])
    if (selector?.startsWith('header:')) headers[selector.slice('header:'.length).toLowerCase()] = String(value)
    else if (selector !== undefined) putAt(body, selector.slice('body:'.length), value)
  }
  if (map.data === undefined) Object.assign(body, data)
  else put('data', data)
  put('created_at', new Date(nowMs).toISOString())
  put('id', id)
  put('type', type)
  return { headers, body }
}

const firstOf = (selectors: Selector | readonly Selector[] | undefined): Selector | undefined =>
  typeof selectors === 'string' ? selectors : selectors?.[0]

/** Sets a value at a dotted path, and makes the missing objects of the path. For the empty path, sets the body's own fields. */
function putAt(body: Record<string, unknown>, path: string, value: unknown): void {
  if (path === '') {
    Object.assign(body, value)
    return
  }
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  let here = body
  for (const key of keys) {
    const next = here[key]
    const copy: Record<string, unknown> = typeof next === 'object' && next !== null ? { ...next } : {}
    here[key] = copy
    here = copy
  }
  here[last] = value
}
