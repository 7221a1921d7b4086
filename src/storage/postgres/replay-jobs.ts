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
  isProbeAlone,
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
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query } from './connections.ts'
import { escapeText, escapeTextOrNull, isUuid } from './escape-text.ts'
import { replayIn } from './replay.ts'

type StoredReplay = ReplayRow & Record<string, unknown>

/** One creates or leases a job at a time, over all replicas. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(10) || 'replays', 7031))"
const SAME = `
  SELECT id FROM replay WHERE state = 'running' AND filter = $1 AND handler IS NOT DISTINCT FROM $2 AND (probe IS NULL) = $3
`
const OPEN = "SELECT count(*)::integer AS n FROM replay WHERE state = 'running'"
const CREATE = `
  INSERT INTO replay (${NEW_COLUMNS}, created_at)
  VALUES (${NEW_COLUMNS.split(', ')
    .map((_, at) => `$${at + 2}`)
    .join(', ')}, clock_1($1))
`
const CANCEL = `
  UPDATE replay SET state = 'cancelled', ended_at = clock_1($2), lease = NULL, lease_until = NULL WHERE id = $1 AND state = 'running'
`
const END = `
  UPDATE replay SET state = $1, ended_at = clock_1($2), probe = coalesce($3, probe), reason = $4, lease = NULL, lease_until = NULL
  WHERE key = $5 AND lease = $6 AND state = 'running' RETURNING key
`
const PRUNE = `
  WITH gone AS (
    DELETE FROM replay WHERE key IN (SELECT key FROM replay WHERE ended_at < $1 ORDER BY key LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING key
  ),
  tallies AS (DELETE FROM replay_tally USING gone WHERE replay_tally.replay = gone.key)
  SELECT count(*)::integer AS n FROM gone
`
/** Without a name: a prepared statement fails once a later release adds a column. */
const OLDEST = "SELECT replay.*, clock_1($1) AS now FROM replay WHERE state = 'running' ORDER BY key LIMIT 1"
const TAKE = 'UPDATE replay SET lease = $2, lease_until = $3, started_at = coalesce(started_at, $4) WHERE key = $1'
const OUTSTANDING = {
  name: 'replay-outstanding',
  text: `
    SELECT handler, count(*) AS n FROM (
      SELECT handler FROM delivery WHERE replay = $1 AND state = 'pending' AND due_at <= $2
      UNION ALL SELECT handler FROM delivery WHERE replay = $1 AND state IN ('running', 'blocked', 'unplaced')
    ) AS open GROUP BY handler
  `,
}
const HELD = {
  name: 'replay-held',
  text: "SELECT skips FROM replay WHERE key = $1 AND lease = $2 AND state = 'running' AND cursor - $4::integer < $3 FOR UPDATE",
}
const ADVANCE = {
  name: 'replay-advance',
  text: `
    UPDATE replay SET cursor = $1, replayed = replayed + $2, skipped = skipped + $3, skips = $4, probe = coalesce($5, probe)
    WHERE key = $6
  `,
}
const OUTCOMES = `
  SELECT handler, state, count(*) AS n, 0 AS failing FROM delivery
  WHERE replay = $1 AND state IN ('succeeded', 'dead', 'discarded') GROUP BY handler, state
  UNION ALL
  SELECT handler, 'pending', count(*), count(*) FILTER (WHERE attempts > CASE state WHEN 'running' THEN 1 ELSE 0 END) FROM delivery
  WHERE replay = $1 AND state IN ('pending', 'running', 'blocked', 'unplaced') GROUP BY handler
  UNION ALL SELECT handler, state, n, 0 FROM replay_tally WHERE replay = $1
`
const LIST = 'SELECT * FROM replay WHERE key < $1 ORDER BY key DESC LIMIT $2'
const BY_ID = 'SELECT * FROM replay WHERE id = $1'

const jsonOrNull = (value: unknown): string | null => (value === undefined ? null : escapeText(JSON.stringify(value)))

export function createReplayJobs(connections: Connections, clock: DatabaseClock) {
  async function byId(id: string): Promise<StoredReplay | undefined> {
    if (!isUuid(id)) return undefined
    const [row] = await connections.run<StoredReplay>('read', BY_ID, [id])
    return row
  }

  return {
    create: (job: NewReplayJob): Promise<CreatedReplay> =>
      connections.transaction(async (query) => {
        await query(LOCK)
        const [mine] = await query(BY_ID, [job.id])
        if (mine !== undefined) return { outcome: 'same', id: job.id }
        const filter = escapeText(storedFilter(job.filter))
        const [known] = await query<{ id: string }>(SAME, [
          filter,
          escapeTextOrNull(job.handler),
          job.probe === undefined,
        ])
        if (known !== undefined) return { outcome: 'same', id: known.id }
        const [open] = await query<{ n: number }>(OPEN)
        if ((open?.n ?? 0) >= MAX_OPEN_REPLAYS) return { outcome: 'full' }
        const values = newValues(job).map((value) => (typeof value === 'string' ? escapeText(value) : value))
        await query(CREATE, [clock.givenMs(), ...values])
        return { outcome: 'created' }
      }),

    async list(page: PageRequest): Promise<Page<ReplayJob>> {
      const start = startOf('replays', page)
      const rows = await connections.run<StoredReplay>('read', LIST, [start.key, page.limit + 1])
      const { shown, nextCursor } = cutPage('replays', page, { rows, end: undefined }, ({ key }) => ({ atMs: 0, key }))
      return { items: shown.map(replayJobOf), nextCursor }
    },

    async find(id: string): Promise<ReplayDetail | undefined> {
      const row = await byId(id)
      if (row === undefined) return undefined
      const outcomes = await connections.run<OutcomeRow>('read', OUTCOMES, [row.key])
      return { ...replayJobOf(row), outcomes: outcomesOf(outcomes) }
    },

    async cancel(id: string): Promise<ReplayJob | undefined> {
      if (!isUuid(id)) return undefined
      await connections.run('work', CANCEL, [id, clock.givenMs()])
      const row = await byId(id)
      return row && replayJobOf(row)
    },

    async end({ key, lease }: ReplayLease, state: 'done' | 'stopped', probe?: Probe): Promise<boolean> {
      const reason = state === 'stopped' ? escapeTextOrNull(probe?.error) : null
      const values = [state, clock.givenMs(), jsonOrNull(probe), reason, key, escapeText(lease)]
      return (await connections.run('work', END, values)).length === 1
    },

    async prune(endedBeforeMs: number, limit: number): Promise<number> {
      const [row] = await connections.run<{ n: number }>('work', PRUNE, [endedBeforeMs, limit])
      return row?.n ?? 0
    },

    lease: createLease(connections, clock),
    run: createRun(connections, clock),
  }
}

function createLease(connections: Connections, clock: DatabaseClock) {
  async function oldest(lease: string, leaseMs: number, query: Query): Promise<StoredReplay | undefined> {
    const [row] = await query<StoredReplay & { now: number }>(OLDEST, [clock.givenMs()])
    if (row === undefined) return undefined
    const until = row.lease_until ?? 0
    // A lease that ends later than it can was made while the clock was ahead.
    const isFree = row.lease === null || until <= row.now || until > row.now + 2 * leaseMs
    if (row.lease !== lease && !isFree) return undefined
    if (row.lease !== lease || until < row.now + leaseMs / 2)
      await query(TAKE, [row.key, lease, row.now + leaseMs, row.now])
    return { ...row, started_at: row.started_at ?? row.now }
  }

  return async (lease: string, leaseMs: number): Promise<LeasedReplay | undefined> => {
    const [open] = await connections.run<StoredReplay & { now: number }>('read', OLDEST, [clock.givenMs()])
    if (open === undefined) return undefined
    const isHeld = open.lease === lease && (open.lease_until ?? 0) >= open.now + leaseMs / 2
    const row = isHeld
      ? open
      : await connections.transaction(async (query) => {
          await query(LOCK)
          return oldest(lease, leaseMs, query)
        })
    if (row === undefined) return undefined
    const outstanding = await connections.run<{ handler: string; n: number }>('work', OUTSTANDING, [row.key, open.now])
    return leasedReplayOf(row, lease, outstanding)
  }
}

function createRun(connections: Connections, clock: DatabaseClock) {
  return (batch: ReplayBatch): Promise<readonly Replayed[] | undefined> =>
    connections.transaction(async (query) => {
      const { key, lease } = batch.job
      const [row] = await query<{ skips: string }>(HELD, [
        key,
        escapeText(lease),
        batch.readTo,
        isProbeAlone(batch) ? 1 : 0,
      ])
      if (row === undefined) return undefined
      const results = await replayIn(
        query,
        clock,
        batch.replays.map((replay) => ({ ...replay, job: key })),
      )
      const { replayed, skipped, skips } = batchEffect(JSON.parse(row.skips), batch, results)
      const probe = jsonOrNull(startedProbe(batch, results))
      await query(ADVANCE, [batch.readTo, replayed, skipped, JSON.stringify(skips), probe, key])
      return results.filter((result) => result !== undefined)
    })
}
