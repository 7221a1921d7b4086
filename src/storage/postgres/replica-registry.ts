import type { Role } from '../../domain/config.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import {
  countingReplicas,
  handlersOfReplicas,
  type KnownReplica,
  REPLICA_TIMEOUT_MS,
  type Replica,
  type ReplicaRegistry,
  type RunningReplica,
  WORKER_SILENCE_MS,
} from '../../domain/replica-registry.ts'
import type { Connections } from './connections.ts'
import type { StoredIndex } from './payload-index.ts'

const ANNOUNCE = {
  name: 'announce',
  text: `
    INSERT INTO replica (uid, started_at, seen_at, handlers, role, paths) VALUES ($1, clock_1($2), clock_1($2), $3, $4, $5)
    ON CONFLICT (uid) DO UPDATE SET seen_at = excluded.seen_at, gone_at = NULL, handlers = excluded.handlers, role = excluded.role,
      paths = excluded.paths,
      started_at = CASE WHEN replica.handlers IS DISTINCT FROM excluded.handlers THEN excluded.started_at ELSE replica.started_at END
  `,
}
const LEAVE = { text: 'UPDATE replica SET gone_at = clock_1($2) WHERE uid = $1' }

const GONE_AT = `CASE WHEN gone_at IS NOT NULL OR seen_at < clock_1($1) - ${REPLICA_TIMEOUT_MS} THEN coalesce(gone_at, seen_at) END`
/**
 * A hash that changes whenever a replica or its handlers change; the workers that are not silent, in order of their start; and the number
 * of other replicas.
 */
const STATE = {
  name: 'fleet-state',
  text: `
    SELECT md5(string_agg(concat_ws(' ', uid, ${GONE_AT}, md5(handlers)), ',' ORDER BY uid)
               FILTER (WHERE handlers IS NOT NULL)) AS state,
           array_agg(uid::text ORDER BY started_at, uid) FILTER (
             WHERE handlers IS NOT NULL AND gone_at IS NULL AND seen_at >= clock_1($1) - ${WORKER_SILENCE_MS}
           ) AS workers,
           count(*) FILTER (WHERE uid IS DISTINCT FROM $2 AND ${GONE_AT} IS NULL)::int AS others
    FROM replica
  `,
}
const WORKERS = {
  name: 'fleet-workers',
  text: `SELECT uid, started_at, ${GONE_AT} AS gone_at, handlers, clock_1($1) AS now FROM replica WHERE handlers IS NOT NULL`,
}
const ROLES = {
  name: 'fleet-roles',
  text: `
    SELECT coalesce(role, CASE WHEN handlers IS NULL THEN 'ingest' ELSE 'all' END) AS role, count(*)::int AS n
    FROM replica WHERE ${GONE_AT} IS NULL GROUP BY 1
  `,
}
const RUNNING = {
  name: 'fleet-running',
  text: `
    SELECT uid::text, coalesce(role, CASE WHEN handlers IS NULL THEN 'ingest' ELSE 'all' END) AS role,
           coalesce(json_array_length(handlers::json), 0) AS handlers, started_at, seen_at
    FROM replica WHERE ${GONE_AT} IS NULL ORDER BY started_at, uid LIMIT 100
  `,
}
const FORGET = {
  text: `DELETE FROM replica WHERE uid = ANY ($2) OR (handlers IS NULL AND seen_at < clock_1($1) - ${REPLICA_TIMEOUT_MS})`,
}

interface StateRow extends Record<string, unknown> {
  readonly state: string | null
  readonly workers: readonly string[] | null
  readonly others: number
}

interface WorkerRow extends Record<string, unknown> {
  readonly uid: string
  readonly started_at: number
  readonly gone_at: number | null
  readonly handlers: string
  readonly now: number
}

async function countRoles(connections: Connections, nowMs: number | null): Promise<ReadonlyMap<Role, number>> {
  const rows = await connections.run<{ role: Role; n: number }>('read', ROLES, [nowMs])
  return new Map(rows.map(({ role, n }) => [role, n]))
}

interface RunningRow extends Record<string, unknown> {
  readonly uid: string
  readonly role: Role
  readonly handlers: number
  readonly started_at: number
  readonly seen_at: number
}

async function listRunning(connections: Connections, nowMs: number | null): Promise<readonly RunningReplica[]> {
  const rows = await connections.run<RunningRow>('read', RUNNING, [nowMs])
  return rows.map(({ started_at, seen_at, ...same }) => ({ ...same, sinceMs: started_at, seenAtMs: seen_at }))
}

async function listWorkers(
  connections: Connections,
  givenMs: number | null,
): Promise<{ all: readonly KnownReplica[]; nowMs: number }> {
  const rows = await connections.run<WorkerRow>('work', WORKERS, [givenMs])
  const all = rows.map(({ uid, started_at, gone_at, handlers }) => ({
    uid,
    startedAtMs: started_at,
    goneAtMs: gone_at ?? undefined,
    handlers: JSON.parse(handlers) as HandlerDefinition[],
  }))
  return { all, nowMs: rows[0]?.now ?? 0 }
}

/** The replicas that share a database. `givenMs` gives the time in place of the database's clock, in tests. */
export function createReplicaRegistry(
  connections: Connections,
  givenMs: () => number | null,
  index: Pick<StoredIndex, 'declared' | 'begin'>,
): ReplicaRegistry & { forget(): Promise<void> } {
  let ownUid: string | null = null
  let others = 0
  let state: unknown
  let known: readonly HandlerDefinition[] | undefined
  let handlersOf: ReadonlyMap<string, readonly HandlerDefinition[]> = new Map()
  let running: readonly Replica[] = []

  const isRunning = (uids: readonly string[]): boolean =>
    uids.length === running.length && uids.every((uid, at) => running[at]?.uid === uid)

  return {
    async announce({ uid, handlers, role }) {
      ownUid = uid
      const json = handlers === undefined ? null : JSON.stringify(handlers)
      await connections.run('work', ANNOUNCE, [uid, givenMs(), json, role ?? null, index.declared()])
      await index.begin()
    },

    async leave(uid) {
      await connections.run('work', LEAVE, [uid, givenMs()])
    },

    async handlers() {
      const [row] = await connections.run<StateRow>('work', STATE, [givenMs(), ownUid])
      others = row?.others ?? 0
      if (row?.state === null) return undefined
      const uids = row?.workers ?? []
      const isSame = row?.state === state
      if (isSame && isRunning(uids)) return known
      if (!isSame) {
        const { all, nowMs } = await listWorkers(connections, givenMs())
        known = handlersOfReplicas(countingReplicas(all, nowMs))
        handlersOf = new Map(all.map(({ uid, handlers }) => [uid, handlers]))
        state = row?.state
      }
      running = uids.map((uid) => ({ uid, handlers: handlersOf.get(uid) }))
      return known
    },

    workers: () => running,

    roles: () => countRoles(connections, givenMs()),

    running: () => listRunning(connections, givenMs()),

    hasOthers: () => others > 0,

    /** Deletes the rows of processes that no longer count. */
    async forget() {
      const { all, nowMs } = await listWorkers(connections, givenMs())
      const counting = new Set(countingReplicas(all, nowMs))
      const silent = all.filter((replica) => !counting.has(replica)).map(({ uid }) => uid)
      await connections.run('work', FORGET, [givenMs(), silent])
    },
  }
}
