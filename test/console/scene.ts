import { randomUUID } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedHeaders } from '../support/events.ts'
import { type LocalOptions, type LocalService, startLocal } from '../support/local-service.ts'
import { memoryDirectory } from '../support/sqlite/store.ts'

export const OPS_TOKEN = 'scene-token-that-may-change-things'
export const OPS_READ_TOKEN = 'scene-token-that-may-only-read'

/** A whole service with handlers of a small shop, whose database can be taken away. */
export interface Scene extends LocalService {
  /** Sends an event to the source `shop`; resolves with its uid when it is acknowledged. */
  readonly send: (type: string, data?: Record<string, unknown>, id?: string, timestamp?: string) => Promise<string>
  /** Its database is away from now on: `billing` fails. */
  readonly breakBilling: () => void
  readonly mendBilling: () => void
  /** Resolves when no delivery waits, and so many are dead. */
  readonly settled: (dead: number) => Promise<void>
}

export async function startScene(
  given: Readonly<Record<string, string>> = {},
  { directory = memoryDirectory(), ...options }: LocalOptions = {},
): Promise<Scene> {
  const flag = join(directory, 'broken')
  process.env.SCENE_BROKEN = flag // the handler processes inherit it
  const service = await startLocal(
    {
      HANDLERS_DIR: join(import.meta.dirname, 'handlers'),
      SOURCES: 'shop,ai',
      SOURCE_SHOP_PROVIDER: 'standard',
      SOURCE_SHOP_SECRET: AI_SECRET,
      OPS_TOKEN,
      OPS_READ_TOKEN,
      ...given,
    },
    { directory, ...options },
  )
  return {
    ...service,
    send: async (type, data = {}, id = `msg_${randomUUID()}`, timestamp = new Date().toISOString()) => {
      const body = JSON.stringify({ type, timestamp, data })
      const event = { id, body, headers: signedHeaders(body, AI_SECRET, id) }
      const { status, uid } = await post(service.publicUrl, event, '/v1/webhooks/shop')
      expect(status).toBeLessThan(300)
      return uid
    },
    breakBilling: () => writeFileSync(flag, ''),
    mendBilling: () => rmSync(flag, { force: true }),
    settled: async (dead) => {
      const deliveries = async () => (await service.api('/v1/status')).deliveries
      await expect.poll(deliveries).toMatchObject({ dead, pending: 0, running: 0 })
    },
  }
}

/** The same for all tests of a file. */
export function shareScene(
  given: Readonly<Record<string, string>> = {},
  options: Omit<LocalOptions, 'onEnd'> = {},
): () => Scene {
  let scene: Scene | undefined
  let end = async (): Promise<void> => {}
  beforeAll(async () => {
    scene = await startScene(given, {
      ...options,
      onEnd: (ends) => {
        end = ends
      },
    })
  })
  afterAll(() => end())
  return () => {
    if (scene === undefined) throw new Error('the scene has not begun')
    return scene
  }
}
