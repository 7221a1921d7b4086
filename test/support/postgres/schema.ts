import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { inject, onTestFinished } from 'vitest'
import { clientOf, queryAt } from './query.ts'

/** Of the database of this run. */
export const databaseUrl = await askForDatabase()

async function askForDatabase(): Promise<string> {
  const answer = await fetch(inject('databaseAt'))
  const text = await answer.text()
  if (!answer.ok) throw new Error(text)
  return text
}

/**
 * A DATABASE_URL with a schema of its own that does not exist yet. In a database that outlives the run it is
 * dropped when the test is over; outside of a test, `onEnd` is `afterAll`.
 */
export function ownSchema(onEnd: (end: () => Promise<void>) => void = onTestFinished): string {
  const url = new URL(databaseUrl)
  url.searchParams.set('schema', `holdfast_test_${randomBytes(8).toString('hex')}`)
  onEnd(async () => {
    if (process.env.TEST_DATABASE_URL) await dropSchema(url.href)
  })
  return url.href
}

/** For a test that needs many. */
export async function dropSchema(url: string): Promise<void> {
  await queryAt(url, { sql: `DROP SCHEMA IF EXISTS ${schemaOf(url)} CASCADE` })
}

/** Runs SQL in the schema of the URL, behind the store's back; gives the rows. */
export async function queryIn<Row extends object = Record<string, unknown>>(
  url: string,
  sql: string,
  params?: readonly unknown[],
): Promise<Row[]> {
  return queryAt(url, { sql, params, searchPath: schemaOf(url) })
}

/** A connection in the schema of the URL, to be ended by the caller. */
export async function connectIn(url: string): Promise<Client> {
  const client = clientOf(url, schemaOf(url))
  await client.connect()
  return client
}

const schemaOf = (url: string): string => new URL(url).searchParams.get('schema') ?? 'holdfast'
