import { onTestFinished } from 'vitest'
import type { OpenStore } from '../../../src/domain/store.ts'
import { openStore } from '../../../src/storage/open.ts'
import { type Relay, startRelay } from './relay.ts'
import type { PostgresServer } from './server.ts'

/** Where a test asks for much at once, the last statement waits long for a connection, the longer the busier the machine is. */
const CONNECT_TIMEOUT_MS = 30_000

/** A replica's store, closed when the test is over. */
export async function openReplica(url: string): Promise<OpenStore> {
  const store = await openStore(url, { connectTimeoutMs: CONNECT_TIMEOUT_MS })
  onTestFinished(() => store.close())
  return store
}

/** The same with a network between it and the server that can be had to fail. */
export async function openReplicaBehindRelay(
  server: PostgresServer,
  url: string,
): Promise<{ readonly store: OpenStore; readonly relay: Relay }> {
  const relay = await startRelay(server.port)
  const behind = new URL(url)
  behind.port = String(relay.port)
  const store = await openReplica(behind.href)
  onTestFinished(() => relay.close())
  return { store, relay }
}
