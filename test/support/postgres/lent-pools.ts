import { EventEmitter } from 'node:events'
import pg from 'pg'
import type { MakePool, PoolOptions } from '../../../src/storage/postgres/connections.ts'

/**
 * Pools of connections for stores that are open one after the other in one schema. PostgreSQL loads its catalog, and compiles
 * and plans the functions and statements of a store, once for each connection, which takes longer than most tests.
 */
export class LentPools {
  /** Those that no store uses now, by what they are for. */
  readonly #idle = new Map<string, pg.Pool>()

  readonly make: MakePool = (options) => {
    const name = options.application_name ?? ''
    const { onConnect, ...rest } = options
    const pool = this.#idle.get(name) ?? new pg.Pool(rest).on('error', () => {})
    this.#idle.delete(name)
    return new LentPool(pool, onConnect, () => this.#idle.set(name, pool)) as unknown as ReturnType<MakePool>
  }

  async end(): Promise<void> {
    await Promise.all([...this.#idle.values()].map((pool) => pool.end()))
  }
}

/** To a store, each of its connections is a new one. */
class LentPool extends EventEmitter {
  readonly #pool: pg.Pool
  readonly #onConnect: PoolOptions['onConnect']
  readonly #giveBack: () => void
  readonly #connected = new WeakSet<pg.PoolClient>()
  readonly #fail = (error: Error): boolean => this.emit('error', error)

  constructor(pool: pg.Pool, onConnect: PoolOptions['onConnect'], giveBack: () => void) {
    super()
    this.#pool = pool.on('error', this.#fail)
    this.#onConnect = onConnect
    this.#giveBack = giveBack
  }

  async connect(): Promise<pg.PoolClient> {
    const client = await this.#pool.connect()
    if (this.#connected.has(client)) return client
    // Those of the store before.
    client.removeAllListeners('notice').removeAllListeners('error')
    try {
      await client.query('RESET ALL')
      await this.#onConnect(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    this.#connected.add(client)
    return client
  }

  async query(text: string, values: unknown[]): Promise<pg.QueryResult> {
    const client = await this.connect()
    try {
      return await client.query(text, values)
    } finally {
      client.release()
    }
  }

  async end(): Promise<void> {
    this.#pool.off('error', this.#fail)
    if (this.#pool.idleCount === this.#pool.totalCount) this.#giveBack()
    else await this.#pool.end()
  }
}
