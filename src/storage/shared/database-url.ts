/** Reads DATABASE_URL, which names a file of the SQLite store, or PostgreSQL. */

export const namesPostgres = (databaseUrl: string): boolean => /^postgres(ql)?:/i.test(databaseUrl)

/** The schema of Holdfast's tables in PostgreSQL, unless the URL's `schema` names another. */
const DEFAULT_SCHEMA = 'holdfast'
/** PostgreSQL cuts names off after 63 bytes. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/

/** The path in `file:<path>`, relative or absolute, or in a file URL with its escapes resolved; undefined in anything else. */
export function databaseFile(databaseUrl: string): string | undefined {
  const path = databaseUrl.startsWith('file://') ? pathOf(databaseUrl) : /^file:([^?#]+)$/.exec(databaseUrl)?.[1]
  return path === undefined || path.endsWith('/') || path.includes('\0') ? undefined : path
}

function pathOf(fileUrl: string): string | undefined {
  const url = URL.parse(fileUrl)
  if (url === null || url.host !== '' || url.search !== '' || url.hash !== '' || /%2f/i.test(url.pathname))
    return undefined
  try {
    return decodeURIComponent(url.pathname)
  } catch {
    return undefined
  }
}

/** Faults in the text of the URL; empty if it is valid. They never quote the URL, which may hold a password. */
export function databaseUrlFaults(databaseUrl: string): readonly string[] {
  if (namesPostgres(databaseUrl)) return postgresFaults(databaseUrl)
  if (databaseFile(databaseUrl) !== undefined) return []
  return [
    'DATABASE_URL must be file:<path of the database>, for example file:data/holdfast.db, or postgres://<user>:<password>@<host>/<database>.',
  ]
}

function postgresFaults(databaseUrl: string): readonly string[] {
  const url = URL.parse(databaseUrl)
  if (url === null)
    return ['DATABASE_URL cannot be read: escape special characters of a password, for example @ as %40.']
  const faults: string[] = []
  const isSocket = url.searchParams.has('host')
  if (url.hostname === '' && !isSocket) faults.push('DATABASE_URL names no host.')
  if (url.pathname.length < 2)
    faults.push('DATABASE_URL names no database: postgres://<user>:<password>@<host>/<database>.')
  const schema = url.searchParams.get('schema')
  if (schema !== null && !SCHEMA_NAME.test(schema))
    faults.push('DATABASE_URL: schema must be a name of a-z, 0-9 and _, of at most 63 characters.')
  if ((databaseUrl.split('?')[0]?.split('@').length ?? 0) > 2 || url.pathname.includes('@'))
    faults.push('DATABASE_URL holds more than one @: in a password it is written as %40, and / as %2F.')
  if (url.hash !== '') faults.push('DATABASE_URL holds a #: in a password it is written as %23.')
  return faults
}

/** The password of the URL in two forms, as it is written and decoded; empty if there is none. */
export function databasePasswords(databaseUrl: string): readonly string[] {
  const written = URL.parse(databaseUrl)?.password ?? ''
  if (written === '') return []
  try {
    return [written, decodeURIComponent(written)]
  } catch {
    return [written]
  }
}

export interface PostgresTarget {
  /** For `pg`: the URL without Holdfast's own parameters. */
  readonly connectionString: string
  readonly schema: string
}

/** Reads a DATABASE_URL that names PostgreSQL. */
export function postgresTarget(databaseUrl: string): PostgresTarget {
  const url = new URL(databaseUrl)
  const schema = url.searchParams.get('schema') ?? DEFAULT_SCHEMA
  if (!SCHEMA_NAME.test(schema)) throw new Error('the name of the schema is not valid')
  url.searchParams.delete('schema')
  return { connectionString: url.href, schema }
}
