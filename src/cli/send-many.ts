import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { Agent } from 'undici'
import type { Provider } from '../domain/provider.ts'
import { type installedSamples, sampleFault, signedSample } from '../providers/samples.ts'
import { CommandError } from './command.ts'
import { describeProblem, unreachable } from './ops-client.ts'

/** Requests that are open at the same time. */
const CONCURRENCY = 64
const REQUEST_TIMEOUT_MS = 30_000
const MAX_RESPONSE_BYTES = 65_536

interface SendRequest {
  readonly url: string
  /** The URL as the service knows it, for providers that sign it. */
  readonly signedUrl: string
  readonly secret: string
  readonly provider: Provider
  readonly type: string
  readonly data: Readonly<Record<string, unknown>> | undefined
  readonly samples: Awaited<ReturnType<typeof installedSamples>>
  readonly count: number
}

interface Acknowledgement {
  readonly uid: string
  readonly duplicate: boolean
}

export interface Run {
  readonly sent: number
  stored: number
  duplicates: number
  /** Of the event that was stored last. */
  receipt: Acknowledgement | undefined
  /** Why the service refused events → how many. */
  readonly problems: Map<string, number>
  readonly ackMicroseconds: RecordableHistogram
  elapsedMs: number
}

/**
 * Sends `count` events, each with an id of its own, up to `CONCURRENCY` at a time. If the service refuses an event, counts the
 * refusal and sends the others. Rejects with `CommandError` if no service answers or the provider has no event of this type.
 */
export async function sendMany(request: SendRequest): Promise<Run> {
  const fault = sampleFault(request.provider, sample(request), request.type)
  if (fault !== undefined) throw new CommandError(fault)
  const width = Math.min(CONCURRENCY, request.count)
  const agent = new Agent({
    connections: width,
    headersTimeout: REQUEST_TIMEOUT_MS,
    bodyTimeout: REQUEST_TIMEOUT_MS,
    maxResponseSize: MAX_RESPONSE_BYTES,
  })
  const run: Run = {
    sent: request.count,
    stored: 0,
    duplicates: 0,
    receipt: undefined,
    problems: new Map(),
    ackMicroseconds: createHistogram(),
    elapsedMs: 0,
  }
  const startedAt = performance.now()
  let left = request.count
  const sendOn = async (): Promise<void> => {
    while (left-- > 0) await sendOne(agent, request, run)
  }
  try {
    await Promise.all(Array.from({ length: width }, sendOn))
  } finally {
    left = 0
    await agent.destroy()
  }
  run.elapsedMs = performance.now() - startedAt
  return run
}

async function sendOne(agent: Agent, request: SendRequest, run: Run): Promise<void> {
  const { headers, body, query } = sample(request)
  const url = new URL(request.url)
  const startedAt = performance.now()
  const answer = await agent
    .request({
      origin: url.origin,
      path: `${url.pathname}${query === '' ? '' : `?${query}`}`,
      method: 'POST',
      headers,
      body,
    })
    .catch((error: unknown) => {
      throw unreachable(url.origin, error, 'HOST and PORT set this address, or --url')
    })
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  if (answer.statusCode !== 200) {
    const problem = describeProblem(answer.statusCode, bytes)
    run.problems.set(problem, (run.problems.get(problem) ?? 0) + 1)
    return
  }
  run.ackMicroseconds.record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)))
  const receipt = readReceipt(bytes, url.origin)
  run.receipt = receipt
  run.stored++
  if (receipt.duplicate) run.duplicates++
}

const sample = ({ provider, type, data, secret, samples, signedUrl }: SendRequest) =>
  signedSample(provider, { type, data, secret, url: signedUrl, shipped: samples })

function readReceipt(bytes: Buffer, origin: string): Acknowledgement {
  try {
    const { uid, duplicate } = JSON.parse(bytes.toString()) as Acknowledgement
    if (typeof uid === 'string') return { uid, duplicate }
  } catch {
    // The error below says so.
  }
  throw new CommandError(`what answers at ${origin} is not Holdfast`)
}
