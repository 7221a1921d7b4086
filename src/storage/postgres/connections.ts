import pg from 'pg'
import { ConfigurationError, HoldfastError } from '../../domain/errors.ts'
import type { PostgresTarget } from '../shared/database-url.ts'
import { type Condition, composeStatement } from '../shared/list-pages.ts'
import { errorFor, isDamage, isOfServer, isReadOnly, isRetryable } from './errors.ts'
import { unescapeText } from './escape-text.ts'
import { faultsOfServer, SERVER_SETTINGS, type ServerSettings } from './server-settings.ts'

/**
 * How many connections one replica opens at most. Acknowledgements never wait for a connection that a search or a settlement
 * holds; claims and settlements never wait for a connection whose commit waits for a standby.
 */
const POOL_SIZES = { append: 2, lease: 2, life: 1, work: 2, read: 3, probe: 1, move: 1 } as const
type PoolName = keyof typeof POOL_SIZES

export const CONNECT_TIMEOUT_MS = 3_000
/**
 * The server ends a statement after this time. If the server does not answer, the client gives the statement up a little later.
 */
const STATEMENT_TIMEOUTS_MS = {
  append: 5_000,
  lease: 5_000,
  life: 1_000,
  work: 5_000,
  read: 10_000,
  probe: 2_000,
  // Only `holdfast migrate` waits this long: a batch may go over a slow line.
  move: 1_800_000,
} as const satisfies Record<PoolName, number>
const ANSWER_MARGIN_MS = 2_000
const IDLE_TIMEOUT_MS = 60_000
/** How often a statement or transaction that fails by a deadlock or a serialization failure is tried. */
const MAX_TRIES = 6

/**
 * The statements that store and claim events find few rows by their keys. With these settings PostgreSQL plans them by index,
 * once for each connection; its statistics may be those of tables that were empty a minute ago. (Sorts stay allowed: to avoid a
 * sort, PostgreSQL 15 walks a whole index.)
 */
const BY_INDEX = `
  SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
  SET plan_cache_mode = force_generic_plan
`

/**
 * Pools whose commits wait neither for the server's disk nor for a standby: those for claims, settlements and heartbeats. The
 * server writes them to disk within three times its `wal_writer_delay` (0.6 s by default), and the next commit that waits
 * takes them along. A crash or a failover before that undoes them, the last ones first, and never one that a later lasting
 * commit builds on:
 * - a settlement: the delivery is running as before, under a lease that its holder no longer knows; the holder releases it,
 *   or the lease expires, and the handler runs a second time;
 * - a claim: the delivery is pending, and may be leased again while its handler runs; the settlement of the first run finds
 *   another lease, or none, and changes nothing;
 * - a heartbeat: the next one follows a second later.
 * No event, delivery or lease that an append made is lost: these are in the append's own commit.
 */
const WITHOUT_WAITING: ReadonlySet<PoolName> = new Set(['lease', 'life'])

const CANCEL = 'SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2'

/**
 * Settings for which the role or the database may have other values. A warning is how a commit reports that it is not safe.
 * With `read committed`, a statement that waited for a lock sees what the holder of the lock has committed. Without `jit =
 * off`, PostgreSQL before 18 takes the plans by index for expensive, and compiles each.
 */
const PINNED = `
  SET client_min_messages = notice; SET default_transaction_isolation = 'read committed'; SET jit = off
`

/**
 * Makes a transaction wait at its commit until every earlier commit is safe. Only a transaction that writes waits: rows that it
 * has only read, such as a task that exists already, may not be on a standby yet.
 */
const FORCE_DURABLE_COMMIT = { name: 'durable', text: "INSERT INTO tally VALUES ('pending', 0)" }

export interface Statement {
  /** Each connection prepares it once, under this name. */
  readonly name?: string
  readonly text: string
}

export type Value = string | number | boolean | Buffer | null | readonly (string | number)[] | readonly string[]
export type Row = Readonly<Record<string, unknown>>

/** Runs statements within one transaction. */
export type Query = <Result extends Row>(statement: Statement | string, values?: readonly Value[]) => Promise<Result[]>

const TEXT = 25
const INT8 = 20
/** Reads `bigint` as number (all values are below 2^53), and text as it was before `escapeText`. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8 && format !== 'binary') return Number
    if (oid === TEXT && format !== 'binary') return unescapeText
    return pg.types.getTypeParser(oid, format)
  }) as typeof pg.types.getTypeParser,
}

/** `pg` waits for the promise of `onConnect`, though its declared type does not say so. */
export type PoolOptions = Omit<pg.PoolConfig, 'onConnect'> & {
  readonly onConnect: (client: pg.ClientBase) => Promise<void>
}
export type MakePool = (options: PoolOptions) => Pick<pg.Pool, 'on' | 'connect' | 'query' | 'end'>

/** The connections to one database. The settings of the server are checked on each connection before its first use. */
export class Connections {
  readonly #pools: Readonly<Record<PoolName, ReturnType<MakePool>>>
  /** The last warning that the server sent on a connection while the present statement ran. */
  readonly #warnings = new WeakMap<pg.ClientBase, string>()
  /** Called at every error of the connection or the server that is not an error of the statement. */
  onUnavailable: () => void = () => {}
  /** Called when a statement meets a damaged page. */
  onDamage: (error: HoldfastError) => void = () => {}

  /** `connectTimeoutMs`: how long a statement waits for a connection. */
  constructor(
    target: PostgresTarget,
    connectTimeoutMs = CONNECT_TIMEOUT_MS,
    makePool: MakePool = (options) => new pg.Pool(options),
  ) {
    const pool = (name: PoolName): ReturnType<MakePool> => {
      const statementMs = STATEMENT_TIMEOUTS_MS[name]
      const created = makePool({
        connectionString: target.connectionString,
        max: POOL_SIZES[name],
        connectionTimeoutMillis: connectTimeoutMs,
        idleTimeoutMillis: IDLE_TIMEOUT_MS,
        query_timeout: statementMs + ANSWER_MARGIN_MS,
        keepAlive: true,
        application_name: `holdfast ${name}`,
        types,
        onConnect: (client) => this.#prepare(client, name, target.schema, statementMs),
      })
      created.on('error', () => this.onUnavailable())
      return created
    }
    this.#pools = {
      append: pool('append'),
      lease: pool('lease'),
      life: pool('life'),
      work: pool('work'),
      read: pool('read'),
      probe: pool('probe'),
      move: pool('move'),
    }
  }

  /**
   * Runs one statement, which is a transaction of its own. Resolves only once its commit is confirmed. Rejects with
   * `HoldfastError`: after `unavailable` the statement may have taken effect or not; after `invalid_request` it has not.
   */
  run<Result extends Row>(
    pool: PoolName,
    statement: Statement | string,
    values: readonly Value[] = [],
  ): Promise<Result[]> {
    return this.#withClient(pool, (client) => this.#query<Result>(client, statement, values))
  }

  /** Runs several statements, all or none; otherwise as `run`. `work` may be called again, and must have no other effect. */
  transaction<Result>(work: (query: Query) => Promise<Result>, pool: PoolName = 'work'): Promise<Result> {
    return this.#withClient(pool, async (client) => {
      await this.#query(client, 'BEGIN', [])
      try {
        const result = await work((statement, values = []) => this.#query(client, statement, values))
        await this.#query(client, FORCE_DURABLE_COMMIT, [])
        await this.#query(client, 'COMMIT', [])
        return result
      } catch (error) {
        if (isOfServer(error) || error instanceof HoldfastError) await this.#query(client, 'ROLLBACK', [])
        throw error
      }
    })
  }

  /** Reads in one transaction, which sees the database as it is at its beginning. */
  snapshot<Result>(read: (query: Query) => Promise<Result>): Promise<Result> {
    return this.#once('move', async (client) => {
      await this.#query(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', [])
      try {
        return await read((statement, values = []) => this.#query(client, statement, values))
      } finally {
        await this.#query(client, 'ROLLBACK', [])
      }
    }).catch((error: unknown) => {
      throw error instanceof ConfigurationError ? error : errorFor(error)
    })
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#pools).map((pool) => pool.end()))
  }

  async #withClient<Result>(pool: PoolName, work: (client: pg.ClientBase) => Promise<Result>): Promise<Result> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#once(pool, work)
      } catch (error) {
        if (isRetryable(error) && tries < MAX_TRIES) continue
        const reported = errorFor(error)
        if (isDamage(reported)) this.onDamage(reported)
        if (reported.code === 'unavailable') this.onUnavailable()
        throw reported
      }
    }
  }

  async #once<Result>(pool: PoolName, work: (client: pg.ClientBase) => Promise<Result>): Promise<Result> {
    const client = await this.#pools[pool].connect()
    let broken = true
    try {
      this.#warnings.delete(client)
      const result = await work(client)
      broken = false
      const warning = this.#warnings.get(client)
      // PostgreSQL confirms a commit that may not be safe, but with a warning.
      if (warning !== undefined && pool !== 'read')
        throw new HoldfastError('unavailable', `the database warned that the commit may not be safe: ${warning}`)
      return result
    } catch (error) {
      // The connection can still be used after an error that the server reports.
      if (error instanceof HoldfastError || (isOfServer(error) && !isReadOnly(error) && !isFatal(error))) broken = false
      if (isGivenUp(error)) void this.#cancelOf(client, pool)
      throw error
    } finally {
      client.release(broken)
    }
  }

  /**
   * Cancels the statement of a connection that was given up. A commit that waits for a standby would go on waiting after its
   * client is gone, whatever the statement_timeout, and keep its locks and one of the connections of the server.
   */
  #cancelOf = ({ processID }: pg.ClientBase & { readonly processID?: number | null }, pool: PoolName): Promise<void> =>
    this.cancel(processID ?? null, pool)

  /** Makes the server cancel the statement that one of its processes runs for a connection of the pool. */
  async cancel(processId: number | null, pool: PoolName): Promise<void> {
    try {
      await this.#pools.read.query(CANCEL, [processId, `holdfast ${pool}`])
    } catch {
      // The statement then ends by itself, or with the server.
    }
  }

  async #query<Result extends Row>(
    client: pg.ClientBase,
    statement: Statement | string,
    values: readonly Value[],
  ): Promise<Result[]> {
    const { rows } =
      typeof statement === 'string'
        ? await client.query<Result>(statement, [...values])
        : await client.query<Result>({ ...statement, values: [...values] })
    return rows
  }

  /** Sets a new connection up. Rejects if the settings of the server are not safe, so that the connection is not used. */
  async #prepare(client: pg.ClientBase, pool: PoolName, schema: string, statementMs: number): Promise<void> {
    // Without a listener, a connection that breaks ends the process.
    client.on('error', () => this.onUnavailable())
    client.on('notice', ({ code, message }) => {
      if (code !== undefined && isWarning(code)) this.#warnings.set(client, message ?? code)
    })
    await client.query(`SET search_path TO ${client.escapeIdentifier(schema)}`)
    await client.query(`SET statement_timeout TO ${statementMs}`)
    await client.query(PINNED)
    if (pool !== 'read') await client.query(BY_INDEX)
    const { rows } = await client.query<ServerSettings>(SERVER_SETTINGS)
    const faults = faultsOfServer(rows[0])
    if (faults.length > 0) throw new HoldfastError('unavailable', faults.join('; '))
    if (WITHOUT_WAITING.has(pool)) await client.query('SET synchronous_commit = off')
  }
}

/** Class 01 is warnings. The shutdown by an administrator (57P01) comes as a warning, too, if a commit was waiting. */
const isWarning = (code: string): boolean => code.startsWith('01') || code === '57P01'

/** No answer came within `query_timeout`. */
const isGivenUp = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout'

/** The server ends the connection after such an error. */
const isFatal = (error: unknown): boolean => error instanceof pg.DatabaseError && error.severity !== 'ERROR'

/** Reads rows by composed conditions. */
export function select<Result extends Row>(
  connections: Connections,
  columns: string,
  conditions: readonly Condition<Value>[],
  tail: string,
  tailValues: readonly Value[],
): Promise<Result[]> {
  const { sql, values } = composeStatement(columns, conditions, tail, tailValues)
  let at = 0
  return connections.run<Result>(
    'read',
    sql.replace(/\?/g, () => `$${++at}`),
    values,
  )
}
