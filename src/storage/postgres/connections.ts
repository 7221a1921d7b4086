import pg from 'pg'
import { HoldfastError } from '../../domain/errors.ts'
import { errorFor, isDamage, isOfServer, isReadOnly, isRetryable } from './errors.ts'
import { faultsOfSession, SESSION, type SessionRow } from './examine.ts'
import { fromText } from './text.ts'
import type { DatabaseTarget } from './url.ts'

/**
 * What one replica opens at most: acknowledgements never wait for a connection that a search or a handler's outcome holds, and
 * claims and settlements for none whose commit waits for a standby.
 */
const POOL_SIZES = { append: 2, lease: 2, life: 1, work: 2, read: 3, probe: 1, move: 1 } as const
export type PoolName = keyof typeof POOL_SIZES

const CONNECT_TIMEOUT_MS = 3_000
/** The server gives up a statement after this time, and the client, where no answer comes at all, a little later. */
const STATEMENT_TIMEOUTS_MS = {
  append: 5_000,
  lease: 5_000,
  life: 1_000,
  work: 5_000,
  read: 10_000,
  probe: 2_000,
  // Nobody waits for it but who moves: a batch may go over a slow line.
  move: 1_800_000,
} as const satisfies Record<PoolName, number>
const ANSWER_MARGIN_MS = 2_000
const IDLE_TIMEOUT_MS = 60_000
/** So often a statement is tried again that met another one in the wrong order. */
const MAX_TRIES = 6

/**
 * What keeps and hands out events finds few rows by their keys. It is planned so, once for each connection, whatever the
 * statistics say of tables that were empty a minute ago. (Sorts stay allowed: to avoid one, PostgreSQL 15 walks a whole
 * index.)
 */
const BY_INDEX = `
  SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
  SET plan_cache_mode = force_generic_plan
`

/**
 * Whose commits wait neither for the server's disk nor for a standby: claims, settlements and signs of life. The server writes
 * them within three of its `wal_writer_delay`, 0.6 s as it comes, and the next commit that waits takes them along. A crash or
 * a failover before that undoes them, always the last ones first, never one that a later lasting commit has built on:
 * - a settlement: the delivery is running as before, under a lease whose holder no longer knows of it; the holder gives it
 *   back, or the lease ends, and the handler runs a second time;
 * - a claim: the delivery is pending, and may be leased again while the handler runs; what the first run came to finds
 *   another lease, or none, and changes nothing;
 * - a sign of life: it is given again a second later.
 * No event is lost by it, nor its deliveries, nor a lease that an append took: these are in the append's own commit.
 */
const WITHOUT_WAITING: ReadonlySet<PoolName> = new Set(['lease', 'life'])

const CANCEL = 'SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2'

/**
 * What the role or the database may have set otherwise, and must not. Warnings are how a commit tells that it is not safe; a
 * snapshot has to be taken after a lock is had, not before. Plans that are to go by index look dear to PostgreSQL before 18,
 * and it would compile each.
 */
const PINNED = `
  SET client_min_messages = notice; SET default_transaction_isolation = 'read committed'; SET jit = off
`

/**
 * Only a transaction that writes waits at its commit until all before it are safe: also what it has only read, such as a
 * task that is there already, may not be on a standby yet.
 */
const VOUCH = { name: 'vouch', text: "INSERT INTO tally VALUES ('pending', 0)" }

export interface Statement {
  /** It is prepared under this name, once for each connection. */
  readonly name?: string
  readonly text: string
}

export type Value = string | number | boolean | Buffer | null | readonly (string | number)[] | readonly string[]
export type Row = Readonly<Record<string, unknown>>

/** Runs statements within one transaction. */
export type Query = <Result extends Row>(statement: Statement | string, values?: readonly Value[]) => Promise<Result[]>

const TEXT = 25
const INT8 = 20
/** Numbers as numbers (all are below 2^53) and text as it was before it was stored. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8 && format !== 'binary') return Number
    if (oid === TEXT && format !== 'binary') return fromText
    return pg.types.getTypeParser(oid, format)
  }) as typeof pg.types.getTypeParser,
}

/** Connections to one database, each examined before its first use. */
export class Connections {
  readonly #pools: Readonly<Record<PoolName, pg.Pool>>
  /** What a server warned of while a statement ran. */
  readonly #warnings = new WeakMap<pg.ClientBase, string>()
  /** Hears of every error that is the place's and not the statement's. */
  onTrouble: () => void = () => {}
  /** Hears of each statement that met what the server cannot read. */
  onDamage: (error: HoldfastError) => void = () => {}

  constructor(target: DatabaseTarget) {
    const pool = (name: PoolName): pg.Pool => {
      const statementMs = STATEMENT_TIMEOUTS_MS[name]
      // It is waited for, whatever its declared type says.
      const onConnect: object = {
        onConnect: (client: pg.ClientBase) => this.#prepare(client, name, target.schema, statementMs),
      }
      const created = new pg.Pool({
        connectionString: target.connectionString,
        max: POOL_SIZES[name],
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        idleTimeoutMillis: IDLE_TIMEOUT_MS,
        query_timeout: statementMs + ANSWER_MARGIN_MS,
        keepAlive: true,
        application_name: `holdfast ${name}`,
        types,
        ...onConnect,
      })
      created.on('error', () => this.onTrouble())
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
   * One statement, which is a transaction of its own. Resolves only once its commit is confirmed. Rejects with
   * `HoldfastError`: `unavailable`, and then nobody may know whether it took effect, or `invalid_request`.
   */
  run<Result extends Row>(
    pool: PoolName,
    statement: Statement | string,
    values: readonly Value[] = [],
  ): Promise<Result[]> {
    return this.#withClient(pool, (client) => this.#query<Result>(client, statement, values))
  }

  /** Several statements, all or none. As with `run`. It may be run anew, so `work` must have no other effect. */
  transaction<Result>(work: (query: Query) => Promise<Result>, pool: PoolName = 'work'): Promise<Result> {
    return this.#withClient(pool, async (client) => {
      await this.#query(client, 'BEGIN', [])
      try {
        const result = await work((statement, values = []) => this.#query(client, statement, values))
        await this.#query(client, VOUCH, [])
        await this.#query(client, 'COMMIT', [])
        return result
      } catch (error) {
        if (isOfServer(error) || error instanceof HoldfastError) await this.#query(client, 'ROLLBACK', [])
        throw error
      }
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
        const told = errorFor(error)
        if (isDamage(told)) this.onDamage(told)
        if (told.code === 'unavailable') this.onTrouble()
        throw told
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
      // A commit that is not known to be safe resolves all the same, and only warns.
      if (warning !== undefined && pool !== 'read')
        throw new HoldfastError('unavailable', `the database does not vouch for the commit: ${warning}`)
      return result
    } catch (error) {
      // What the server itself refused leaves the connection as it was.
      if (error instanceof HoldfastError || (isOfServer(error) && !isReadOnly(error) && !isFatal(error))) broken = false
      if (isGivenUp(error)) void this.#cancelOf(client, pool)
      throw error
    } finally {
      client.release(broken)
    }
  }

  /**
   * A commit that waits for a standby waits on when nobody listens any more, statement_timeout or not, and keeps its locks
   * and one of the server's connections.
   */
  #cancelOf = ({ processID }: pg.ClientBase & { readonly processID?: number | null }, pool: PoolName): Promise<void> =>
    this.cancel(processID ?? null, pool)

  /** Has the server break off what one of its processes does for a connection of the pool. */
  async cancel(processId: number | null, pool: PoolName): Promise<void> {
    try {
      await this.#pools.read.query(CANCEL, [processId, `holdfast ${pool}`])
    } catch {
      // Then it ends with the wait, or with the server.
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

  /** Rejects, and the connection is not used, where it would not be safe. */
  async #prepare(client: pg.ClientBase, pool: PoolName, schema: string, statementMs: number): Promise<void> {
    // Without a listener, a connection that breaks ends the process.
    client.on('error', () => this.onTrouble())
    client.on('notice', ({ code, message }) => {
      if (code !== undefined && isWarning(code)) this.#warnings.set(client, message ?? code)
    })
    await client.query(`SET search_path TO ${client.escapeIdentifier(schema)}`)
    await client.query(`SET statement_timeout TO ${statementMs}`)
    await client.query(PINNED)
    if (pool !== 'read') await client.query(BY_INDEX)
    const { rows } = await client.query<SessionRow>(SESSION)
    const faults = faultsOfSession(rows[0])
    if (faults.length > 0) throw new HoldfastError('unavailable', faults.join('; '))
    if (WITHOUT_WAITING.has(pool)) await client.query('SET synchronous_commit = off')
  }
}

/** Class 01, warning, and an administrator's shutdown, which too comes as a warning where a commit was waiting. */
const isWarning = (code: string): boolean => code.startsWith('01') || code === '57P01'

/** No answer came in time. */
const isGivenUp = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout'

/** The server ends the connection with it. */
const isFatal = (error: unknown): boolean => error instanceof pg.DatabaseError && error.severity !== 'ERROR'
