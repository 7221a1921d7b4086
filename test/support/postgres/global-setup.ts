import type { TestProject } from 'vitest/node'
import { queryAt } from './query.ts'
import { startPostgres } from './server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of a database in which the tests may do as they please. */
    databaseUrl: string
  }
}

/** One PostgreSQL for the whole run: the one that TEST_DATABASE_URL names, or else one that is gone afterwards. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const { TEST_DATABASE_URL: url } = process.env
  if (url) {
    await reach(url)
    project.provide('databaseUrl', url)
    return undefined
  }
  const server = await startPostgres()
  project.provide('databaseUrl', server.url)
  return () => server.remove()
}

async function reach(url: string): Promise<void> {
  try {
    await queryAt(url, { sql: 'SELECT' })
  } catch (error) {
    throw new Error(`TEST_DATABASE_URL cannot be reached: ${String(error)}`, { cause: error })
  }
}
