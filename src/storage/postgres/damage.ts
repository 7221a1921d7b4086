import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { Connections, Query, Row } from './connections.ts'
import { codeOf, QUERY_CANCELED } from './errors.ts'

const MAX_WARNINGS = 100
/** How long the result of an examination counts for further errors with the same message. */
const KNOWN_MS = 10_000
/**
 * How long to wait before the rebuild of an index that failed is tried again. A rebuild that took too long is not tried again.
 */
const REBUILD_INTERVAL_MS = 3_600_000
/**
 * Statements that use the table wait while its index is rebuilt, and before that while the rebuild waits for statements that
 * use the index. A replica that waits longer than this for the rebuild of another replica gives up too: otherwise, if a rebuild
 * takes too long, all replicas would block the table one after the other.
 */
const BOUNDS = "SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '2s'"
/**
 * The largest table whose index is rebuilt: with a larger one the rebuild would surely take too long, because it reads the
 * whole table except for its long values.
 */
const MAX_TABLE_BYTES = 4 * 1024 ** 3
/** Lets one replica at a time rebuild an index. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(10) || 'reindex', 7031))"

/** These find the file, relation and block in the server's message, which may be in any language. */
const FILE = /\b(?:base|pg_tblspc)\/[\w./]*?(\d+)(?:[._]\w+)*(?=["'»“\s,:]|$)/
const NAME = /["'«„]([^"'»“/]+)["'»“]|\b(pg_toast_\d+)\b/
const BLOCK = /\bblocks? (\d+)/

/**
 * Finds a relation by its file or its name. Long values have a table of their own (TOAST); `long_values_of` names the table
 * whose long values it holds.
 */
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
  /** Size of the table that the index belongs to. */
  readonly table_bytes: number | null
  readonly long_values_of: string | null
}

interface DamagedBlock {
  readonly relation: Relation
  readonly block: number | undefined
}

/**
 * - `mended`: an index was damaged, and is rebuilt;
 * - `index`: an index is damaged, and its table is whole as far as is known;
 * - `rows`: rows are damaged;
 * - `unknown`: the server could not be asked.
 */
type DamageKind = 'mended' | 'index' | 'rows' | 'unknown'

interface Rebuilding {
  readonly done: Promise<boolean>
  readonly atMs: number
}

/** Knows the damage that statements have met. Rebuilds damaged indexes, if that takes no longer than `BOUNDS` allow. */
export class Damage {
  readonly #connections: Connections
  readonly #log: StoreLog
  readonly #maxTableBytes: number
  /**
   * Warnings, and the place of the damage. Without a place, the warning is about an index that was rebuilt, and stays until the
   * store is closed.
   */
  readonly #warnings = new Map<string, DamagedBlock | undefined>()
  /** Rebuilds by the file of the index. */
  readonly #rebuilding = new Map<number, Rebuilding>()
  readonly #tookTooLong = new Set<number>()
  readonly #known = new Map<string, { readonly kind: Promise<DamageKind>; readonly atMs: number }>()

  /** The process id of the server process that rebuilds an index now. */
  #rebuilder: number | undefined
  #isClosed = false

  /** `maxTableBytes` is given in tests only. */
  constructor(connections: Connections, log: StoreLog, maxTableBytes = MAX_TABLE_BYTES) {
    this.#connections = connections
    this.#log = log
    this.#maxTableBytes = maxTableBytes
  }

  warnings = (): readonly string[] => [...this.#warnings.keys()]

  /** To be called when a statement has failed with this error. Resolves once the damage is among the warnings. */
  found(error: unknown): Promise<DamageKind> {
    const message = messageOf(error)
    const known = this.#known.get(message)
    if (known !== undefined && performance.now() - known.atMs < KNOWN_MS) return known.kind
    if (this.#known.size >= MAX_WARNINGS) this.#known.clear()
    const kind = this.#examine(message)
    this.#known.set(message, { kind, atMs: performance.now() })
    return kind
  }

  /** Stops rebuilding indexes, and cancels a rebuild that is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#rebuilder !== undefined) await this.#connections.cancel(this.#rebuilder, 'move')
  }

  /** Removes the warnings of damage that has been repaired. */
  async lookAgain(): Promise<void> {
    for (const [warning, place] of this.#warnings) {
      if (place === undefined || !(await this.#isRepaired(place))) continue
      this.#warnings.delete(warning)
      this.#log('info', `PostgreSQL can read ${place.relation.name} again`)
    }
  }

  async #examine(message: string): Promise<DamageKind> {
    try {
      const file = FILE.exec(message)?.[1]
      const name = NAME.exec(message)
      const [relation] = await this.#relation(Number(file ?? 0), name?.[1] ?? name?.[2] ?? '')
      if (relation === undefined) return file === undefined ? 'rows' : 'mended'
      if (await this.#rebuild(relation)) return 'mended'
      const block = BLOCK.exec(message)?.[1]
      const place = { relation, block: block === undefined ? undefined : Number(block) }
      this.#warn(warningOf(place), place)
      return relation.is_index ? 'index' : 'rows'
    } catch {
      // The caller of the statement gets its error in any case.
      return 'unknown'
    }
  }

  #relation = (file: number, name = ''): Promise<Relation[]> =>
    this.#connections.run<Relation>('read', RELATION, [file, name])

  #warn(warning: string, place: DamagedBlock | undefined): void {
    if (this.#warnings.has(warning) || this.#warnings.size >= MAX_WARNINGS) return
    this.#warnings.set(warning, place)
    this.#log('error', warning)
  }

  /** All statements that meet the same index wait for one rebuild. */
  async #rebuild(relation: Relation): Promise<boolean> {
    const { file, is_index, is_ours, table_bytes } = relation
    if (!is_index || !is_ours || (table_bytes ?? 0) > this.#maxTableBytes) return false
    const known = this.#rebuilding.get(file)
    if (known !== undefined && (this.#tookTooLong.has(file) || performance.now() - known.atMs < REBUILD_INTERVAL_MS))
      return known.done
    const done = this.#tryRebuild(relation)
    this.#rebuilding.set(file, { done, atMs: performance.now() })
    return done
  }

  async #tryRebuild(relation: Relation): Promise<boolean> {
    const { name, file } = relation
    try {
      await this.#connections.transaction((query) => this.#reindex(query, relation), 'move')
      this.#warn(`the index ${name} was damaged, and was rebuilt from its table: the disk may be failing`, undefined)
      return true
    } catch (error) {
      if (codeOf(error instanceof Error && error.cause) === QUERY_CANCELED) this.#tookTooLong.add(file)
      this.#log('warn', `the index ${name} could not be rebuilt: ${messageOf(error)}`)
      return false
    }
  }

  async #reindex(query: Query, { name, file }: Relation): Promise<void> {
    const [row] = await query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    this.#rebuilder = row?.pid
    try {
      await query(BOUNDS)
      this.#refuseIfClosed()
      await query(LOCK)
      // A replica that held the lock before may have rebuilt the index: then its file is gone.
      const isThere = (await query(RELATION, [file, ''])).length > 0
      this.#refuseIfClosed()
      if (isThere) await query(`REINDEX INDEX ${name}`)
    } finally {
      this.#rebuilder = undefined
    }
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new HoldfastError('unavailable', 'the store is closed')
  }

  async #isRepaired({ relation: { name, file, is_index, long_values_of }, block }: DamagedBlock): Promise<boolean> {
    // Every rewrite of a relation gives it another file.
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

function warningOf({ relation: { name, is_index, long_values_of }, block }: DamagedBlock): string {
  const at = block === undefined ? '' : `block ${block} of `
  if (is_index) {
    const statement = long_values_of === null ? `INDEX CONCURRENTLY ${name}` : `TABLE CONCURRENTLY ${long_values_of}`
    return `PostgreSQL cannot read ${at}the index ${name}: run REINDEX ${statement}`
  }
  const what = long_values_of === null ? `the table ${name}` : `long values of the table ${long_values_of}`
  return `PostgreSQL cannot read ${at}${what}: fail over to a standby, restore a backup, or give up what lies there (docs/postgresql-and-replicas.md, "Damage")`
}
