import { existsSync, realpathSync } from 'node:fs'
import { type AuditEntry, auditText, MAX_CLAIMED_NAME } from '../../domain/audit.ts'
import { type Clock, MAX_TIME_MS } from '../../domain/clock.ts'
import { ConfigurationError } from '../../domain/errors.ts'
import { STAT_SPANS, type StatRow, type StatSpan } from '../../domain/stat-store.ts'
import type { StoreLog } from '../../domain/store.ts'
import {
  MOVED_TABLES,
  type MoveOutcome,
  type MoveProgress,
  type MoveRequest,
  type TableComparison,
} from '../../domain/store-move.ts'
import { VERSION } from '../../domain/version.ts'
import { type Import, openImport } from '../postgres/import.ts'
import type { WrittenTable } from '../postgres/import-statements.ts'
import { MAX_MOVE_ROWS, type MovedRow, type MovePosition, positionOf } from '../shared/moved-rows.ts'
import type { ReplayTally } from '../shared/replays.ts'
import { StoreRefused } from '../sqlite/errors.ts'
import { type Export, openExport } from '../sqlite/export.ts'
import { openSqliteStore } from '../sqlite/open.ts'
import { takeProcessLock } from '../sqlite/process-lock.ts'
import { type BothSides, verify } from './verify.ts'

/** The target database may be just starting. */
const CONNECT_RETRY_MS = 5_000
const SPANS = Object.keys(STAT_SPANS) as readonly StatSpan[]
const WRITTEN = MOVED_TABLES.filter((table): table is WrittenTable => table !== 'event_body')

interface MoveControl {
  /** Ends the move after the batch that is under way. */
  readonly signal: AbortSignal
  readonly onLog: StoreLog
  readonly clock: Clock
}

/**
 * Moves the rows of a SQLite store into an empty PostgreSQL database, and verifies them: both sides are read from the first row
 * to the last, and only when they are equal may services use the database. The move holds the SQLite store as a service would,
 * and does not delete it. A move that was interrupted goes on where it stopped when the same command runs again.
 */
export async function moveStore(request: MoveRequest, { signal, onLog, clock }: MoveControl): Promise<MoveOutcome> {
  await refuseUnavailable(request.from)
  const target = await openImport(request.to, onLog, CONNECT_RETRY_MS)
  try {
    // Opening releases all leases, at a time that is stored. A resumed move has to store the same time as the first run.
    const startedAtMs = (await target.begunAtMs()) ?? clock()
    const owned = await openSqliteStore(request.from, { clock: () => startedAtMs, monotonicMs: () => 0, onLog })
    try {
      return await moveBetween(request, target, startedAtMs, signal)
    } finally {
      await owned.close()
    }
  } finally {
    await target.close()
  }
}

/** Checks the path first: opening a mistyped one would create a new store. */
async function refuseUnavailable(path: string): Promise<void> {
  if (!existsSync(path)) throw new ConfigurationError([`There is no database ${path}.`])
  try {
    const { release } = await takeProcessLock(realpathSync(path))
    release()
  } catch (error) {
    throw error instanceof StoreRefused ? new ConfigurationError([error.message]) : error
  }
}

async function moveBetween(
  request: MoveRequest,
  target: Import,
  startedAtMs: number,
  signal: AbortSignal,
): Promise<MoveOutcome> {
  const { from, onProgress } = request
  const source = openExport(from)
  let at: MoveProgress | undefined
  try {
    const resumed = await target.begin(source.origin, startedAtMs)
    const totals = new Map(MOVED_TABLES.map((table) => [table, source.count(table)]))
    const run: BothSides = {
      source,
      target,
      progress(step, table, done) {
        at = { step, table, done, total: totals.get(table) ?? 0, resumed }
        onProgress(at)
        signal.throwIfAborted()
      },
    }
    signal.throwIfAborted()
    for (const table of WRITTEN) await copy(run, table)
    const verified = await verify(run)
    if (verified.difference !== undefined)
      return { outcome: 'differs', resumed, tables: verified.tables, difference: verified.difference }
    for (const span of SPANS) await copyStats(run, span)
    await copyTallies(run)
    await target.finish(verified.counts, entryOf(request, verified.tables))
    return { outcome: 'moved', resumed, tables: verified.tables }
  } catch (error) {
    if (signal.aborted && error === signal.reason) return { outcome: 'stopped', at }
    throw error
  } finally {
    source.close()
  }
}

async function copy({ source, target, progress }: BothSides, table: WrittenTable): Promise<void> {
  let position = await target.position(table)
  let done = source.countUpTo(table, position)
  progress('moving', table, done)
  for (;;) {
    const rows = table === 'event' ? eventsAfter(source, position) : source.read(table, position)
    const last = rows.at(-1)
    if (last === undefined) return
    await target.write(table, position, rows)
    position = positionOf(table, last)
    done += rows.length
    progress('moving', table, done)
  }
}

/** The numbers over time are not verified: a row that is written twice is the same row. */
async function copyStats({ source, target }: BothSides, span: StatSpan): Promise<void> {
  const query = { span, sinceMs: 0, untilMs: MAX_TIME_MS, limit: MAX_MOVE_ROWS }
  for (let after: StatRow | undefined; ; ) {
    const rows = source.statRows(after === undefined ? query : { ...query, after })
    after = rows.at(-1)
    if (after === undefined) return
    await target.writeStats(rows)
  }
}

async function copyTallies({ source, target }: BothSides): Promise<void> {
  for (let after: ReplayTally | undefined; ; ) {
    const rows = source.replayTallies(after)
    after = rows.at(-1)
    if (after === undefined) return
    await target.writeTallies(rows)
  }
}

/** A batch of events with their bodies: as many as the bodies that were read. */
function eventsAfter(source: Export, position: MovePosition): readonly MovedRow[] {
  const bodies = source.read('event_body', position)
  return source
    .read('event', position)
    .slice(0, bodies.length)
    .map(({ values }, at) => ({ ...bodies[at], values: { ...bodies[at]?.values, ...values } }))
}

function entryOf({ from, by }: MoveRequest, tables: readonly TableComparison[]): AuditEntry {
  const shown = { target: auditText(from), claimedName: auditText(by, MAX_CLAIMED_NAME) }
  return {
    action: 'store.migrate',
    outcome: 'done',
    actor: 'command',
    agent: `holdfast/${VERSION}`,
    ...(shown.target !== undefined && { target: shown.target }),
    ...(shown.claimedName !== undefined && { claimedName: shown.claimedName }),
    count: tables.find(({ table }) => table === 'event')?.source.rows ?? 0,
  }
}
