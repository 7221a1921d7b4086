import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { queryAt } from './query.ts'
import { startPostgres } from './server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Answers with the URL of a database in which the tests may do as they please. */
    databaseAt: string
  }
}

/**
 * One PostgreSQL for the whole run: the one that TEST_DATABASE_URL names, or else one that is gone afterwards. It is started
 * when the first test file asks for it (`schema.ts`).
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let database: ReturnType<typeof openDatabase> | undefined
  const server = createServer((_request, response) => {
    database ??= openDatabase()
    database.then(
      ({ url }) => response.end(url),
      (error) => response.writeHead(500).end(String(error)),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  project.provide('databaseAt', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return async () => {
    server.close()
    server.closeAllConnections()
    await (await database?.catch(() => undefined))?.remove()
  }
}

/** Schemas come and go too fast to be worth a vacuum, and tests cause errors on purpose. Levels above `log` drop the line that says it is ready. */
const QUIET = { autovacuum: 'off', log_min_messages: 'log', wal_level: 'minimal', max_wal_senders: '0' }

async function openDatabase(): Promise<{ readonly url: string; remove(): Promise<void> }> {
  const { TEST_DATABASE_URL: url } = process.env
  if (!url) return startPostgres({ settings: QUIET })
  try {
    await queryAt(url, { sql: 'SELECT' })
  } catch (error) {
    throw new Error(`TEST_DATABASE_URL cannot be reached: ${String(error)}`, { cause: error })
  }
  return { url, remove: async () => {} }
}
