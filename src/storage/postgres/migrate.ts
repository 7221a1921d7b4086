import { readFileSync } from 'node:fs'
import pg from 'pg'
import { ConfigurationError } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { PostgresTarget } from '../shared/database-url.ts'
import { sentence } from './connect-with-retry.ts'
import { CONNECT_TIMEOUT_MS } from './connections.ts'
import { codeOf, DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE } from './errors.ts'
import { faultsOfServer, SERVER_SETTINGS, type ServerSettings } from './server-settings.ts'

/** In order; the place of an entry, counted from 1, is the schema version that it leads to. A released entry never changes. */
export const MIGRATIONS: readonly (readonly string[])[] = [
  ['001-initial.sql', '001-functions.sql'],
  ['002-leases.sql', '002-append.sql', '002-claim.sql'],
  [
    '003-events.sql',
    '003-identity.sql',
    '003-clock.sql',
    '003-task-turns.sql',
    '003-append.sql',
    '003-dead-order.sql',
    '003-queue.sql',
    '003-leases.sql',
    '003-claim.sql',
    '003-claim-tasks.sql',
  ],
  ['004-order.sql', '004-append.sql', '004-leases.sql', '004-claim.sql'],
  [
    '005-causes.sql',
    '005-drift.sql',
    '005-replays.sql',
    '005-stats.sql',
    '005-roles.sql',
    '005-audit.sql',
    '005-outcome.sql',
    '005-pause.sql',
    '005-payload-index.sql',
  ],
  ['006-received.sql'],
  ['007-questions.sql', '007-repeats.sql', '007-beside.sql', '007-append.sql'],
]

export const SCHEMA_VERSION = MIGRATIONS.length
/**
 * The oldest schema version whose replicas can work beside this one, as they do during a rolling update. A migration only adds.
 * When no replica uses a thing any more, a later migration removes it, and this number rises.
 */
const OLDEST_COMPATIBLE = 1

/** A migration waits this long for a table before it pauses, because later statements wait behind it. */
const LOCK_TIMEOUT_MS = 1_000
const LOCK_PAUSE_MS = 1_000
/** A start waits this long in all for the migration of another replica, or for a transaction that uses a table. */
const LOCK_RETRY_MS = 60_000

interface VersionRow {
  readonly version: number
  readonly oldest_compatible: number
}

/**
 * Checks the settings of the server, and brings the schema up to date, all or nothing. If several processes start together, one
 * migrates and the others wait. Rejects with a `ConfigurationError` that names every fault, or with the error of the
 * connection.
 */
export async function migrate(target: PostgresTarget, onLog: StoreLog): Promise<void> {
  const until = performance.now() + LOCK_RETRY_MS
  for (;;) {
    try {
      return await migrateOnce(target, onLog)
    } catch (error) {
      const code = codeOf(error)
      if (code !== LOCK_NOT_AVAILABLE && code !== DEADLOCK_DETECTED) throw error
      if (performance.now() > until) throw new ConfigurationError([IN_USE])
      await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS))
    }
  }
}

const IN_USE =
  'DATABASE_URL: the schema has to change, and a transaction of another client uses its tables (a dump, a session left open): start again when it has ended.'

async function migrateOnce(target: PostgresTarget, onLog: StoreLog): Promise<void> {
  const client = await connect(target)
  try {
    const { rows } = await client.query<ServerSettings>(SERVER_SETTINGS)
    const faults = faultsOfServer(rows[0])
    if (faults.length > 0) throw new ConfigurationError(faults.map(sentence))
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}; SET default_transaction_isolation = 'read committed'`)
    await client.query('BEGIN')
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('holdfast migrate ' || $1, 7031))", [
      target.schema,
    ])
    await enterSchema(client, target.schema)
    await bringUpToDate(client, target.schema, onLog)
    await client.query('COMMIT')
  } finally {
    await client.end().catch(() => {})
  }
}

async function connect(target: PostgresTarget): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: target.connectionString,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'holdfast start',
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return client
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/** Creates the schema if there is none, and checks that the role has the privileges that a service needs. */
async function enterSchema(client: pg.Client, schema: string): Promise<void> {
  const name = client.escapeIdentifier(schema)
  const { rows } = await client.query<Privileges>(PRIVILEGES, [schema])
  const [privileges] = rows
  if (privileges === undefined) throw new Error('PostgreSQL returned no privileges')
  const { role, database } = privileges
  if (!privileges.exists) {
    if (!privileges.may_create_schema) {
      throw new ConfigurationError([
        `Role ${role} may not create schema ${schema}: have an administrator run CREATE SCHEMA ${name} AUTHORIZATION ${client.escapeIdentifier(role)}, or GRANT CREATE ON DATABASE ${client.escapeIdentifier(database)} TO ${client.escapeIdentifier(role)}.`,
      ])
    }
    await client.query(`CREATE SCHEMA ${name}`)
  } else if (!privileges.may_use || !privileges.may_create) {
    throw new ConfigurationError([
      `Role ${role} may not use and create in schema ${schema}: run GRANT USAGE, CREATE ON SCHEMA ${name} TO ${client.escapeIdentifier(role)}.`,
    ])
  } else if (privileges.foreign_tables > 0) {
    throw new ConfigurationError([
      `Role ${role} does not own the tables in schema ${schema}, and could neither make nor drop partitions: run all replicas as the role that owns them, or GRANT that role TO ${client.escapeIdentifier(role)}.`,
    ])
  }
  await client.query(`SET search_path TO ${name}`)
}

interface Privileges {
  readonly role: string
  readonly database: string
  readonly exists: boolean
  readonly may_create_schema: boolean
  readonly may_use: boolean
  readonly may_create: boolean
  readonly foreign_tables: number
}

const PRIVILEGES = `
  SELECT current_user::text AS role, current_database()::text AS database, n.oid IS NOT NULL AS exists,
    has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS may_use,
    coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create,
    (
      SELECT count(*)::integer FROM pg_class AS c
      WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE')
    ) AS foreign_tables
  FROM (VALUES (1)) AS one LEFT JOIN pg_namespace AS n ON n.nspname = $1
`

async function bringUpToDate(client: pg.Client, schema: string, onLog: StoreLog): Promise<void> {
  const { version, oldest_compatible } = await versionOf(client, schema)
  if (version > SCHEMA_VERSION && oldest_compatible > SCHEMA_VERSION) {
    throw new ConfigurationError([
      `The database has schema version ${version}, which needs a Holdfast of schema version ${oldest_compatible} or newer, and this one has ${SCHEMA_VERSION}: run the newer Holdfast.`,
    ])
  }
  if (version >= SCHEMA_VERSION) return
  for (const files of MIGRATIONS.slice(version))
    for (const file of files) await client.query(readFileSync(new URL(`./migrations/${file}`, import.meta.url), 'utf8'))
  await client.query('UPDATE schema_version SET version = $1, oldest_compatible = $2', [
    SCHEMA_VERSION,
    OLDEST_COMPATIBLE,
  ])
  onLog('info', `the schema of the database is now at version ${SCHEMA_VERSION}`)
}

async function versionOf(client: pg.Client, schema: string): Promise<VersionRow> {
  const { rows: tables } = await client.query<{ name: string }>(
    "SELECT c.relname::text AS name FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')",
  )
  if (!tables.some(({ name }) => name === 'schema_version')) {
    if (tables.length > 0) {
      throw new ConfigurationError([
        `Schema ${schema} holds tables of another program: name another schema in DATABASE_URL, as in ?schema=holdfast_2.`,
      ])
    }
    await client.query('CREATE TABLE schema_version (version integer NOT NULL, oldest_compatible integer NOT NULL)')
    await client.query('INSERT INTO schema_version VALUES (0, 0)')
  }
  const { rows } = await client.query<VersionRow>('SELECT version, oldest_compatible FROM schema_version')
  if (rows[0] === undefined)
    throw new Error('the version of the schema is not known: the table schema_version is empty')
  return rows[0]
}
