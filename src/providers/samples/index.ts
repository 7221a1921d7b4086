import type { Provider, Sample, SampleEvent } from '../../domain/provider.ts'
import ai from '../ai/provider.ts'
import anthropic from '../anthropic.ts'
import assemblyai from '../assemblyai.ts'
import github from '../github/provider.ts'
import openai from '../openai.ts'
import replicate from '../replicate.ts'
import { standardSample } from '../samples.ts'
import stripe from '../stripe.ts'
import { sampleData } from './ai.ts'
import { githubSample } from './github.ts'

/**
 * Samples of the shipped providers. The service never loads this folder, and an installation may leave it out, as the image does:
 * import it only by `installedSamples`, or in `testing`, which then is left out too.
 */

const iso = (ms: number): string => new Date(ms).toISOString()
const seconds = (ms: number): number => Math.floor(ms / 1_000)
const firstPart = (type: string): string => type.split('.')[0] ?? type
const afterFirstPart = (type: string): string => type.slice(type.indexOf('.') + 1)

/** Providers that are not listed have a usual form, which follows from their event map. */
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
  // Events have no id, so each sample is about another transcript, unless the user's data names one.
  [assemblyai, ({ id, type, data }) => ({ body: { transcript_id: id, ...data, status: afterFirstPart(type) } })],
  [github, githubSample],
  [
    openai,
    ({ id, type, data = { id: `${firstPart(type)}_123` }, nowMs }) => ({
      headers: { 'webhook-id': id },
      body: { id, object: 'event', created_at: seconds(nowMs), type, data },
    }),
  ],
  [
    replicate,
    ({ id, type, data = { input: { prompt: 'a lighthouse' }, output: ['a sample'], error: null }, nowMs }) => ({
      headers: { 'webhook-id': id },
      body: {
        id: 'ufawqhfynnddngldkgtslldrkq',
        version: '5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa',
        created_at: iso(nowMs),
        ...data,
        status: afterFirstPart(type),
      },
    }),
  ],
  [stripe, stripeSample],
])

function stripeSample({ id, type, data, nowMs }: SampleEvent): Sample {
  const object = firstPart(type)
  return {
    body: {
      id,
      object: 'event',
      api_version: '2025-03-31.basil',
      created: seconds(nowMs),
      livemode: false,
      pending_webhooks: 1,
      request: { id: null, idempotency_key: null },
      type,
      data: data ?? { object: { id: `${object}_123`, object } },
    },
  }
}

export { sampleData } from './ai.ts'
