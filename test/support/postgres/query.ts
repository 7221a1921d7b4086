import { Client } from 'pg'

export interface Query {
  readonly sql: string
  readonly params?: readonly unknown[] | undefined
  readonly searchPath?: string
}

/** Runs SQL on a connection of its own; gives the rows. */
export async function queryAt<Row extends object>(url: string, { sql, params, searchPath }: Query): Promise<Row[]> {
  const client = clientOf(url, searchPath)
  try {
    await client.connect()
    return (await client.query<Row>(sql, params && [...params])).rows
  } finally {
    await client.end().catch(() => {})
  }
}

/** Not connected yet. */
export function clientOf(url: string, searchPath?: string): Client {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    ...(searchPath !== undefined && { options: `-c search_path=${searchPath}` }),
  })
  // A connection that breaks fails the query.
  client.on('error', () => {})
  return client
}
