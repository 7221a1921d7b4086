import { DEFAULT_SCHEMA, SCHEMA_NAME } from '../database-url.ts'

export interface DatabaseTarget {
  /** As `pg` takes it. */
  readonly connectionString: string
  /** Where everything stands. */
  readonly schema: string
}

/** Takes what is Holdfast's own out of a DATABASE_URL that names PostgreSQL: `schema`. */
export function targetOf(databaseUrl: string): DatabaseTarget {
  const url = new URL(databaseUrl)
  const schema = url.searchParams.get('schema') ?? DEFAULT_SCHEMA
  if (!SCHEMA_NAME.test(schema)) throw new Error('the schema has a name that was not checked')
  url.searchParams.delete('schema')
  return { connectionString: url.href, schema }
}
