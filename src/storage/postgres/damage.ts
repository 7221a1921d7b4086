import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { Connections, Query, Row } from './connections.ts'
import { codeOf, QUERY_CANCELED } from './errors.ts'

const MAX_TOLD = 100
/** What is known of one message holds so long. */
const KNOWN_MS = 10_000
/** An index that could not be made anew is tried again so long after, unless it took too long. */
const REBUILD_INTERVAL_MS = 3_600_000
/**
 * What uses the table waits while its index is made anew, and before, while that waits for whoever uses the index. A replica
 * that waits longer for another one gives up too: where it cannot be done in time, not all of them hold everything up in turn.
 */
const BOUNDS = "SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '2s'"
/** An index of a larger table surely takes longer: the table is read through for it, long values apart. */
const MAX_TABLE_BYTES = 4 * 1024 ** 3
/** One replica at a time makes one anew. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(10) || 'reindex', 7031))"

/** Where the server's message has the file of what it could not read. It may be of any language. */
const FILE = /\b(?:base|pg_tblspc)\/[\w./]*?(\d+)(?:[._]\w+)*(?=["'»“\s,:]|$)/
const NAME = /["'«„]([^"'»“/]+)["'»“]|\b(pg_toast_\d+)\b/
const BLOCK = /\bblocks? (\d+)/

/** A relation by its file or its name. What is long is stored beside its table, of which this tells. */
const RELATION = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'i' AS is_index,
    n.nspname = current_schema() AS is_ours, pg_relation_filenode(c.oid)::bigint AS file,
    pg_relation_size(i.indrelid)::bigint AS table_bytes,
    (
      SELECT format('%I.%I', m.nspname, t.relname) FROM pg_class AS t JOIN pg_namespace AS m ON m.oid = t.relnamespace
      WHERE t.reltoastrelid = coalesce(i.indrelid, c.oid)
    ) AS long_values_of
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
  WHERE CASE WHEN $1::bigint = 0
    THEN c.relname = $2 AND n.nspname IN (current_schema(), 'pg_toast') ELSE pg_relation_filenode(c.oid) = $1::bigint END
`

interface Relation extends Row {
  readonly name: string
  readonly is_index: boolean
  readonly is_ours: boolean
  readonly file: number
  /** Of the table that it is an index of. */
  readonly table_bytes: number | null
  readonly long_values_of: string | null
}

interface Place {
  readonly relation: Relation
  readonly block: number | undefined
}

/**
 * `index`: it is one, and what it leads to is whole. `mended`: it was one, and is whole again. `unknown`: the server could not
 * be asked.
 */
export type DamageKind = 'mended' | 'index' | 'rows' | 'unknown'

interface Rebuilding {
  readonly done: Promise<boolean>
  readonly atMs: number
}

/** What the server cannot read, as far as statements have met it. Indexes are made anew, where that takes no longer than it may. */
export class Damage {
  readonly #connections: Connections
  readonly #log: StoreLog
  readonly #maxTableBytes: number
  /** With what was mended, which is told of until the store is closed. */
  readonly #told = new Map<string, Place | undefined>()
  /** By the file of the index. */
  readonly #rebuilding = new Map<number, Rebuilding>()
  readonly #tookTooLong = new Set<number>()
  readonly #known = new Map<string, { readonly kind: Promise<DamageKind>; readonly atMs: number }>()

  /** The server's process that makes an index anew. */
  #maker: number | undefined
  #isClosed = false

  /** `maxTableBytes`: for tests. */
  constructor(connections: Connections, log: StoreLog, maxTableBytes = MAX_TABLE_BYTES) {
    this.#connections = connections
    this.#log = log
    this.#maxTableBytes = maxTableBytes
  }

  warnings = (): readonly string[] => [...this.#told.keys()]

  /** A statement has failed with it. Resolves once it is told of. */
  found(error: unknown): Promise<DamageKind> {
    const message = messageOf(error)
    const known = this.#known.get(message)
    if (known !== undefined && performance.now() - known.atMs < KNOWN_MS) return known.kind
    if (this.#known.size >= MAX_TOLD) this.#known.clear()
    const kind = this.#look(message)
    this.#known.set(message, { kind, atMs: performance.now() })
    return kind
  }

  /** No index is made anew any more, and what is under way is broken off. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#maker !== undefined) await this.#connections.cancel(this.#maker, 'move')
  }

  /** Forgets what others have repaired. */
  async lookAgain(): Promise<void> {
    for (const [warning, place] of this.#told) {
      if (place === undefined || !(await this.#isRepaired(place))) continue
      this.#told.delete(warning)
      this.#log('info', `PostgreSQL can read ${place.relation.name} again`)
    }
  }

  async #look(message: string): Promise<DamageKind> {
    try {
      const file = FILE.exec(message)?.[1]
      const name = NAME.exec(message)
      const [relation] = await this.#relation(Number(file ?? 0), name?.[1] ?? name?.[2] ?? '')
      if (relation === undefined) return file === undefined ? 'rows' : 'mended'
      if (await this.#rebuild(relation)) return 'mended'
      const block = BLOCK.exec(message)?.[1]
      const place = { relation, block: block === undefined ? undefined : Number(block) }
      this.#tell(warningOf(place), place)
      return relation.is_index ? 'index' : 'rows'
    } catch {
      // What the statement met is told of by whoever ran it.
      return 'unknown'
    }
  }

  #relation = (file: number, name = ''): Promise<Relation[]> =>
    this.#connections.run<Relation>('read', RELATION, [file, name])

  #tell(warning: string, place: Place | undefined): void {
    if (this.#told.has(warning) || this.#told.size >= MAX_TOLD) return
    this.#told.set(warning, place)
    this.#log('error', warning)
  }

  /** All that meet it wait for the one try. */
  async #rebuild(relation: Relation): Promise<boolean> {
    const { file, is_index, is_ours, table_bytes } = relation
    if (!is_index || !is_ours || (table_bytes ?? 0) > this.#maxTableBytes) return false
    const known = this.#rebuilding.get(file)
    if (known !== undefined && (this.#tookTooLong.has(file) || performance.now() - known.atMs < REBUILD_INTERVAL_MS))
      return known.done
    const done = this.#makeAnew(relation)
    this.#rebuilding.set(file, { done, atMs: performance.now() })
    return done
  }

  async #makeAnew(relation: Relation): Promise<boolean> {
    const { name, file } = relation
    try {
      await this.#connections.transaction((query) => this.#reindex(query, relation), 'move')
      this.#tell(`the index ${name} was damaged, and was made anew from its table: the disk may be failing`, undefined)
      return true
    } catch (error) {
      if (codeOf(error instanceof Error && error.cause) === QUERY_CANCELED) this.#tookTooLong.add(file)
      this.#log('warn', `the index ${name} could not be made anew: ${messageOf(error)}`)
      return false
    }
  }

  async #reindex(query: Query, { name, file }: Relation): Promise<void> {
    const [row] = await query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    this.#maker = row?.pid
    try {
      await query(BOUNDS)
      this.#refuseIfClosed()
      await query(LOCK)
      // Whoever held the lock has made it anew.
      const isThere = (await query(RELATION, [file, ''])).length > 0
      this.#refuseIfClosed()
      if (isThere) await query(`REINDEX INDEX ${name}`)
    } finally {
      this.#maker = undefined
    }
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new HoldfastError('unavailable', 'the store is closed')
  }

  async #isRepaired({ relation: { name, file, is_index, long_values_of }, block }: Place): Promise<boolean> {
    // Whatever makes a relation anew gives it another file.
    if ((await this.#relation(file)).length === 0) return true
    if (is_index || long_values_of !== null || block === undefined) return false
    try {
      await this.#connections.run('read', `SELECT count(*) FROM ${name} WHERE ctid >= $1::tid AND ctid < $2::tid`, [
        `(${block},0)`,
        `(${block + 1},0)`,
      ])
      return true
    } catch {
      return false
    }
  }
}

function warningOf({ relation: { name, is_index, long_values_of }, block }: Place): string {
  const at = block === undefined ? '' : `block ${block} of `
  if (is_index) {
    const statement = long_values_of === null ? `INDEX CONCURRENTLY ${name}` : `TABLE CONCURRENTLY ${long_values_of}`
    return `PostgreSQL cannot read ${at}the index ${name}: run REINDEX ${statement}`
  }
  const what = long_values_of === null ? `the table ${name}` : `long values of the table ${long_values_of}`
  return `PostgreSQL cannot read ${at}${what}: fail over to a standby, restore a backup, or give up what lies there (docs/postgresql-and-replicas.md, "Damage")`
}
