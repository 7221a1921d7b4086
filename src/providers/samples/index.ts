import type { Provider, Sample, SampleEvent } from '../../domain/provider.ts'
import ai from '../ai/provider.ts'
import anthropic from '../anthropic.ts'
import openai from '../openai.ts'
import { standardSample } from '../samples.ts'
import { sampleData } from './ai.ts'

/**
 * Samples of the shipped providers. The service never loads this folder, and an installation may leave it out, as the image does:
 * import it only by `installedSamples`, or in `testing`, which then is left out too.
 */

const iso = (ms: number): string => new Date(ms).toISOString()
const seconds = (ms: number): number => Math.floor(ms / 1_000)
const firstPart = (type: string): string => type.split('.')[0] ?? type

/** Those of the other providers are in their modules, or have a usual form, which follows from the event map. */
export const byProvider: ReadonlyMap<Provider, (event: SampleEvent) => Sample> = new Map<
  Provider,
  (event: SampleEvent) => Sample
>([
  [ai, ({ data, ...event }) => standardSample({ ...event, data: data ?? sampleData(event.type) })],
  [
    anthropic,
    ({ id, type, data = { id: `${firstPart(type)}_123` }, nowMs }) => ({
      body: { type: 'event', id, created_at: iso(nowMs), data: { ...data, type } },
    }),
  ],
  [
    openai,
    ({ id, type, data = { id: `${firstPart(type)}_123` }, nowMs }) => ({
      headers: { 'webhook-id': id },
      body: { id, object: 'event', created_at: seconds(nowMs), type, data },
    }),
  ],
])

export { sampleData } from './ai.ts'
