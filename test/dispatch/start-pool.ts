import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pino from 'pino'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { HandlerPool, type PoolOptions } from '../../src/dispatch/pool/pool.ts'
import type { Work } from '../../src/domain/delivery.ts'

const modules = join(import.meta.dirname, 'modules')
export const acme = pathToFileURL(join(import.meta.dirname, 'acme-provider.ts')).href

/** A pool of the handlers in `modules`, closed when the test is over. */
export async function startPool(options: Partial<PoolOptions> = {}): Promise<HandlerPool> {
  const pool = createPool(options)
  onTestFinished(() => pool.close())
  await pool.start()
  return pool
}

/** One for all tests of a group, none of which changes what it is for the next. */
export function sharePool(options: Partial<PoolOptions> = {}): () => HandlerPool {
  let pool: HandlerPool | undefined
  beforeAll(async () => {
    pool = createPool(options)
    await pool.start()
  })
  afterAll(() => pool?.close())
  return () => pool ?? expect.unreachable()
}

export const createPool = (options: Partial<PoolOptions> = {}): HandlerPool =>
  new HandlerPool({
    data: { handlersDir: modules, providerModules: { acme }, logLevel: 'silent', logStyle: 'json', secrets: [] },
    environment: process.env,
    memoryMb: 256,
    onDroppedLines: () => {},
    processes: 1,
    concurrency: 8,
    timeoutMs: 10_000,
    log: pino({ level: 'silent' }),
    ...options,
  })

let deliveryId = 0
/** One attempt of a handler. */
export function work(handler: string, body: string = JSON.stringify({ type: handler }), isolated = false): Work {
  return {
    deliveryId: deliveryId++,
    lease: 'lease',
    handler,
    attempt: 1,
    dueAtMs: 0,
    isolated,
    event: {
      uid: 'uid',
      source: 'acme',
      provider: 'acme',
      id: 'evt',
      type: handler,
      receivedAtMs: 0,
      origin: 'webhook',
      headers: {},
    },
    body: new TextEncoder().encode(body),
  }
}
