import type { Server } from 'node:http'
import { PassThrough } from 'node:stream'
import pino from 'pino'
import { expect, onTestFinished } from 'vitest'
import type { Incoming, Receive } from '../../src/domain/receive.ts'
import type { Source } from '../../src/domain/source.ts'
import type { RequestOutcome } from '../../src/domain/telemetry.ts'
import {
  createPublicListener,
  type PublicLimits,
  type PublicListenerOptions,
} from '../../src/http/public/public-listener.ts'
import { defineProvider } from '../../src/providers/define-provider.ts'

export const UID = '01890000-0000-7000-8000-000000000001'

export const source = (name: string, contentTypes?: readonly string[]): Source => ({
  name,
  provider: defineProvider({
    name,
    verify: { scheme: 'shared-secret', from: { header: 'x-secret' } },
    event: { type: 'body:type' },
    ...(contentTypes !== undefined && { contentTypes }),
  }),
  verify: () => ({ ok: true }),
  precheck: () => ({ ok: true }),
  types: ['*'],
  accepts: () => true,
  url: undefined,
  dedupe: 'id',
  redeliveryReplaysDead: false,
  keys: [],
  secretHeaders: [],
})

const SOURCES = new Map([
  ['ai', source('ai')],
  ['forms', source('forms', ['application/x-www-form-urlencoded', 'text/plain'])],
])

export interface PublicService {
  readonly port: number
  readonly server: Server
  readonly url: string
  /** What reached `receive`, in order. */
  readonly received: Incoming[]
  readonly counted: (readonly [source: string | undefined, outcome: RequestOutcome])[]
  readonly acknowledged: (readonly [source: string, seconds: number])[]
  /** Log lines, parsed. */
  readonly logged: Record<string, unknown>[]
  /** Resolves once so many requests have been counted. */
  readonly countedAtLeast: (count: number) => Promise<void>
}

type Overrides = Partial<Omit<PublicListenerOptions, 'receive' | 'sources' | 'telemetry' | 'log' | 'limits'>> &
  Partial<PublicLimits> & {
    readonly receive?: Receive
    readonly sources?: ReadonlyMap<string, Source>
  }

/** A public listener on a port of its own, closed with the test. Accepts everything unless `receive` says otherwise. */
export async function startPublic(overrides: Overrides = {}): Promise<PublicService> {
  const received: Incoming[] = []
  const counted: PublicService['counted'] = []
  const acknowledged: PublicService['acknowledged'] = []
  const logged: PublicService['logged'] = []
  const waiting: (() => void)[] = []
  const output = new PassThrough()
  output.on('data', (line) => logged.push(JSON.parse(String(line))))
  const { receive = async () => ({ outcome: 'accepted', uid: UID }), sources = SOURCES, ...others } = overrides
  const { bodyLimitBytes = 1_000, trustProxy = [], requireHttps = false, ...options } = others
  const limits = { bodyLimitBytes, trustProxy, requireHttps }

  const app = createPublicListener({
    sources: () => sources,
    readiness: () => [],
    limits: () => limits,
    ...options,
    receive: (incoming) => {
      received.push(incoming)
      return receive(incoming)
    },
    telemetry: {
      request: (name, outcome) => {
        counted.push([name, outcome])
        for (const wake of waiting.splice(0)) wake()
      },
      acknowledged: (name, seconds) => acknowledged.push([name, seconds]),
      received: () => undefined,
      unhandled: () => undefined,
      processed: () => undefined,
      failed: () => undefined,
      started: () => undefined,
      dead: () => undefined,
      polled: () => undefined,
      taskResolved: () => undefined,
      drifted: () => undefined,
    },
    log: pino({ level: 'debug' }, output),
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  return {
    port: Number(new URL(url).port),
    server: app.server,
    url,
    received,
    counted,
    acknowledged,
    logged,
    countedAtLeast: async (count) => {
      while (counted.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
    },
  }
}

export const JSON_TYPE = { 'content-type': 'application/json' }

export const post = (url: string, init: RequestInit = {}) =>
  fetch(url, { method: 'POST', headers: JSON_TYPE, body: '{"type":"a"}', ...init })

/** Asserts an RFC 9457 problem, and that it has no member beyond those that are meant to be told. */
export async function expectProblem(answer: Response, status: number, slug: string) {
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('x-request-id')).toMatch(/^[\w.-]+$/)
  const problem = (await answer.json()) as Record<string, unknown>
  expect(problem).toMatchObject({ type: `urn:holdfast:problem:${slug}`, status })
  expect(Object.keys(problem).every((key) => ['type', 'title', 'status', 'detail', 'reasons'].includes(key))).toBe(true)
  return problem
}
