import type { DatabaseSync } from 'node:sqlite'
import type { Replayed } from '../../domain/delivery-queue.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import {
  type CreatedReplay,
  type LeasedReplay,
  MAX_OPEN_REPLAYS,
  type NewReplayJob,
  type Probe,
  type ReplayBatch,
  type ReplayDetail,
  type ReplayJob,
  type ReplayLease,
} from '../../domain/replay-jobs.ts'
import { cutPage, startOf } from '../shared/list-pages.ts'
import {
  batchEffect,
  isGone,
  isProbeAlone,
  type JobReplay,
  leasedReplayOf,
  NEW_COLUMNS,
  newValues,
  type OutcomeRow,
  outcomesOf,
  type ReplayRow,
  replayJobOf,
  startedProbe,
  storedFilter,
} from '../shared/replays.ts'

/** The part of the jobs that writes. */
export function prepareReplayJobs(db: DatabaseSync, replay: (replay: JobReplay, nowMs: number) => Replayed) {
  const same = db.prepare(`
    SELECT id FROM replay WHERE state = 'running' AND filter = ? AND handler IS ? AND (probe IS NULL) = ?
  `)
  const open = db.prepare("SELECT count(*) AS n FROM replay WHERE state = 'running'")
  const create = db.prepare(
    `INSERT INTO replay (${NEW_COLUMNS}, created_at) VALUES (${NEW_COLUMNS.replace(/\w+/g, '?')}, ?)`,
  )
  const byId = db.prepare('SELECT * FROM replay WHERE id = ?')
  const cancel = db.prepare(`
    UPDATE replay SET state = 'cancelled', ended_at = ?, lease = NULL, lease_until = NULL WHERE id = ? AND state = 'running'
  `)
  const end = db.prepare(`
    UPDATE replay SET state = ?1, ended_at = ?2, probe = coalesce(?3, probe), reason = ?4, lease = NULL, lease_until = NULL
    WHERE key = ?5 AND lease = ?6 AND state = 'running'
  `)
  const old = db.prepare(`
    SELECT key FROM replay WHERE ended_at < ? AND key < (SELECT max(key) FROM replay) ORDER BY key LIMIT ?
  `)
  const forget = db.prepare('DELETE FROM replay WHERE key = ?')
  const forgetTally = db.prepare('DELETE FROM replay_tally WHERE replay = ?')

  return {
    createReplayJob(job: NewReplayJob, nowMs: number): CreatedReplay {
      const probeIsNull = job.probe === undefined ? 1 : 0
      if (byId.get(job.id) !== undefined) return { outcome: 'same', id: job.id }
      const known = same.get(storedFilter(job.filter), job.handler ?? null, probeIsNull)
      if (known !== undefined) return { outcome: 'same', id: String(known.id) }
      if (Number(open.get()?.n) >= MAX_OPEN_REPLAYS) return { outcome: 'full' }
      create.run(...newValues(job), nowMs)
      return { outcome: 'created' }
    },

    cancelReplayJob(id: string, nowMs: number): ReplayJob | undefined {
      cancel.run(nowMs, id)
      const row = byId.get(id)
      return row && replayJobOf(row as ReplayRow)
    },

    leaseReplayJob: prepareLease(db),
    runReplays: prepareRun(db, replay),

    endReplayJob(
      { key, lease }: ReplayLease,
      state: 'done' | 'stopped',
      probe: Probe | undefined,
      nowMs: number,
    ): boolean {
      const stored = probe === undefined ? null : JSON.stringify(probe)
      const reason = state === 'stopped' ? (probe?.error ?? null) : null
      return end.run(state, nowMs, stored, reason, key, lease).changes === 1
    },

    pruneReplayJobs(endedBeforeMs: number, limit: number): number {
      const keys = old.all(endedBeforeMs, limit).map(({ key }) => Number(key))
      for (const key of keys) {
        forget.run(key)
        forgetTally.run(key)
      }
      return keys.length
    },
  }
}

function prepareLease(db: DatabaseSync) {
  const oldest = db.prepare(
    "SELECT * FROM replay INDEXED BY replay_running WHERE state = 'running' ORDER BY key LIMIT 1",
  )
  const take = db.prepare(
    'UPDATE replay SET lease = ?, lease_until = ?, started_at = coalesce(started_at, ?) WHERE key = ?',
  )
  const outstanding = db.prepare(`
    SELECT handler, count(*) AS n FROM (
      SELECT handler FROM delivery INDEXED BY delivery_replay WHERE replay = ?1 AND state = 'pending' AND due_at <= ?2
      UNION ALL SELECT handler FROM delivery INDEXED BY delivery_replay WHERE replay = ?1 AND state IN ('running', 'blocked')
    ) GROUP BY handler
  `)

  return (lease: string, leaseMs: number, nowMs: number): LeasedReplay | undefined => {
    const row = oldest.get() as ReplayRow | undefined
    if (row === undefined) return undefined
    const until = row.lease_until ?? 0
    // A lease that ends later than it can was made while the clock was ahead.
    const isFree = row.lease === null || until <= nowMs || until > nowMs + 2 * leaseMs
    if (row.lease !== lease && !isFree) return undefined
    if (row.lease !== lease || until < nowMs + leaseMs / 2) take.run(lease, nowMs + leaseMs, nowMs, row.key)
    const startedAtMs = row.started_at ?? nowMs
    return leasedReplayOf(
      { ...row, started_at: startedAtMs },
      lease,
      outstanding.all(row.key, nowMs) as { handler: string; n: number }[],
    )
  }
}

function prepareRun(db: DatabaseSync, replay: (replay: JobReplay, nowMs: number) => Replayed) {
  const held = db.prepare(
    "SELECT skips FROM replay WHERE key = ? AND lease = ? AND state = 'running' AND cursor - ? < ?",
  )
  const advance = db.prepare(`
    UPDATE replay SET cursor = ?1, replayed = replayed + ?2, skipped = skipped + ?3, skips = ?4, probe = coalesce(?5, probe) WHERE key = ?6
  `)

  function run(each: JobReplay, nowMs: number): Replayed | undefined {
    try {
      return replay(each, nowMs)
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    }
  }

  return (batch: ReplayBatch, nowMs: number): readonly Replayed[] | undefined => {
    const { key, lease } = batch.job
    const row = held.get(key, lease, isProbeAlone(batch) ? 1 : 0, batch.readTo)
    if (row === undefined) return undefined
    const results = batch.replays.map((each) => run({ ...each, job: key }, nowMs))
    const { replayed, skipped, skips } = batchEffect(JSON.parse(String(row.skips)), batch, results)
    const probe = startedProbe(batch, results)
    const stored = probe === undefined ? null : JSON.stringify(probe)
    advance.run(batch.readTo, replayed, skipped, JSON.stringify(skips), stored, key)
    return results.filter((result) => result !== undefined)
  }
}

/** The part of the jobs that only reads. */
export function prepareReadReplayJobs(db: DatabaseSync) {
  const list = db.prepare('SELECT * FROM replay WHERE key < ? ORDER BY key DESC LIMIT ?')
  const byId = db.prepare('SELECT * FROM replay WHERE id = ?')
  const outcomes = db.prepare(`
    SELECT handler, state, count(*) AS n, 0 AS failing FROM delivery INDEXED BY delivery_replay
    WHERE replay = ?1 AND state IN ('succeeded', 'dead', 'discarded') GROUP BY handler, state
    UNION ALL
    SELECT handler, 'pending', count(*), sum(attempts > (state = 'running')) FROM delivery INDEXED BY delivery_replay
    WHERE replay = ?1 AND state IN ('pending', 'running', 'blocked') GROUP BY handler
    UNION ALL SELECT handler, state, n, 0 FROM replay_tally WHERE replay = ?1
  `)

  return {
    replayJobs(page: PageRequest): Page<ReplayJob> {
      const start = startOf('replays', page)
      const rows = list.all(start.key, page.limit + 1) as ReplayRow[]
      const { shown, nextCursor } = cutPage('replays', page, { rows, end: undefined }, ({ key }) => ({ atMs: 0, key }))
      return { items: shown.map(replayJobOf), nextCursor }
    },

    replayJob(id: string): ReplayDetail | undefined {
      const row = byId.get(id) as ReplayRow | undefined
      return row && { ...replayJobOf(row), outcomes: outcomesOf(outcomes.all(row.key) as OutcomeRow[]) }
    },
  }
}
