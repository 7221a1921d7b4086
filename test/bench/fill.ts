import { randomUUID } from 'node:crypto'
import { newUid } from '../../src/domain/names.ts'
import { openStore } from '../../src/storage/open.ts'

const IN_FLIGHT = 512

/** Stores so many events of 1 kB, as the service would, straight through the store. `handlers`: those that each event is for. */
export async function fillStore(databaseUrl: string, count: number, handlers: readonly string[] = []): Promise<void> {
  const store = await openStore(databaseUrl, {})
  let left = count
  const writer = async (): Promise<void> => {
    while (left-- > 0) {
      const id = `evt_${randomUUID()}`
      const type = handlers.length > 0 ? 'bench.handled' : 'bench.stored'
      await store.append({
        uid: newUid(),
        source: 'ai',
        provider: 'ai',
        id,
        type,
        createdAt: new Date().toISOString(),
        createdAtSource: 'provider',
        receivedAtMs: Date.now(),
        origin: 'webhook',
        status: handlers.length > 0 ? 'accepted' : 'unhandled',
        reasons: [],
        headers: { 'content-type': 'application/json', 'webhook-id': `msg_${id}`, 'user-agent': 'bench/1.0' },
        body: Buffer.from(JSON.stringify({ id, type, data: { filler: 'x'.repeat(900) } })),
        handlers,
      })
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, writer))
  await store.close()
}
