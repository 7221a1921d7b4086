import { PassThrough } from 'node:stream'
import pino from 'pino'
import { expect, onTestFinished } from 'vitest'
import type { CallProvider } from '../../src/domain/outbound.ts'
import type { ConnectedSource } from '../../src/domain/source.ts'
import type { WebhookManager } from '../../src/domain/webhook-manager.ts'
import { redactor } from '../../src/log/redact.ts'
import { createCaller } from '../../src/outbound/caller.ts'
import { shippedProviders } from '../../src/providers/index.ts'
import { createWebhookManager } from '../../src/registrations/webhook-manager.ts'
import { connectedSource } from '../support/connected-source.ts'
import { API_KEY, type FakeApi, type FakeRegistrations, startFakeRegistrations } from '../support/fake-registrations.ts'

export const SECRET = 'whsec_aG9sZGZhc3QtdGVzdC1zZWNyZXQtMzItYnl0ZXMh'
export const OUR_URL = 'https://hooks.example/v1/webhooks/shop'

/** Calls a provider module's API as the service does, over real connections, which end with the test. */
export function callerOf(provider: ConnectedSource['provider'], baseUrl: string, key = API_KEY): CallProvider {
  const headers = provider.api?.headers?.(key) ?? {}
  const caller = createCaller({ baseUrl, baseIsConfigured: true, headers, version: '0', maxAnswerBytes: 1_048_576 })
  onTestFinished(() => caller.close())
  return caller.call
}

export function sourceOf(api: string, overrides: Partial<ConnectedSource> = {}): ConnectedSource {
  const provider = shippedProviders.find(({ name }) => name === api)
  if (provider === undefined) throw new Error(`no provider ${api}`)
  return connectedSource({
    name: 'shop',
    provider,
    url: OUR_URL,
    secret: SECRET,
    redact: redactor([API_KEY, SECRET]),
    ...overrides,
  })
}

export interface Setting {
  readonly fake: FakeRegistrations
  readonly webhooks: WebhookManager
  /** All log lines so far, of every level. */
  readonly logged: () => string
}

/** A webhook manager whose only source, `shop`, has a fake as its provider. */
export async function startWebhookManager(
  api: FakeApi,
  overrides: Partial<ConnectedSource> = {},
  nowMs?: () => number,
): Promise<Setting> {
  const fake = await startFakeRegistrations(api)
  const plain = sourceOf(api)
  const source = { ...plain, call: callerOf(plain.provider, fake.url), ...overrides }
  const lines: string[] = []
  const output = new PassThrough().on('data', (line) => lines.push(String(line)))
  const log = pino({ level: 'trace', base: null, timestamp: false }, output)
  return {
    fake,
    webhooks: createWebhookManager({
      sources: new Map([['shop', source]]),
      log,
      ...(nowMs !== undefined && { nowMs }),
    }),
    logged: () => lines.join(''),
  }
}

/** Asserts that it fails with this code; gives the message. */
export async function failureOf(work: Promise<unknown>, code: string): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toMatchObject({ code })
  return (error as Error).message
}
