/** The oldest major version of PostgreSQL that Holdfast supports. */
const OLDEST_SERVER_VERSION = 15

/**
 * The settings that decide whether a server keeps what it has committed, as one connection sees them. Also fixes
 * `synchronous_commit` for the session.
 */
export const SERVER_SETTINGS = `
  SELECT current_setting('server_version_num')::integer AS version, current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    set_config('synchronous_commit', current_setting('synchronous_commit'), false) AS synchronous_commit,
    current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby,
    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
`

export interface ServerSettings extends Record<string, unknown> {
  readonly version: number
  readonly fsync: string
  readonly full_page_writes: string
  readonly synchronous_commit: string
  readonly encoding: string
  readonly is_standby: boolean
  /** Ms since the epoch, by the database's clock. */
  readonly now: number
}

/** Why no event may be acknowledged over this connection, and what the operator can do about it; empty if there is no fault. */
export function faultsOfServer(row: ServerSettings | undefined): readonly string[] {
  if (row === undefined) return ['PostgreSQL returned no settings']
  const faults: string[] = []
  if (row.version < OLDEST_SERVER_VERSION * 10_000) {
    const version = `${Math.floor(row.version / 10_000)}.${row.version % 10_000}`
    faults.push(`PostgreSQL is version ${version}, and Holdfast needs ${OLDEST_SERVER_VERSION} or newer: upgrade it`)
  }
  if (row.fsync === 'off')
    faults.push('PostgreSQL has fsync=off and may lose acknowledged events: set fsync=on and reload it')
  if (row.full_page_writes === 'off')
    faults.push('PostgreSQL has full_page_writes=off and may be damaged by a crash: set it on and reload')
  if (row.synchronous_commit === 'off') {
    faults.push(
      'PostgreSQL has synchronous_commit=off and may lose acknowledged events: set it on (or remote_apply) for this role, database and server',
    )
  }
  if (row.encoding !== 'UTF8') faults.push(`the database has encoding ${row.encoding}: create one with encoding UTF8`)
  if (row.is_standby)
    faults.push('PostgreSQL is a standby here and takes no writes: DATABASE_URL must lead to the primary')
  return faults
}
