import type { DatabaseSync } from 'node:sqlite'
import type { NewPause, Pause, PausedKind, PauseStore } from '../../domain/pause.ts'
import { HELD_SOURCES, type PauseRow, pauseOf } from '../shared/pauses.ts'
import type { Damage } from './damage.ts'
import type { StoreThreads } from './store-threads.ts'

export function preparePauses(db: DatabaseSync, damage: Damage) {
  const insert = db.prepare(`
    INSERT INTO pause (kind, name, since, paused_by, reason) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reason = coalesce(excluded.reason, reason) RETURNING *
  `)
  const remove = db.prepare('DELETE FROM pause WHERE kind = ? AND name = ? RETURNING *')
  const findSource = db.prepare(HELD_SOURCES)
  const release = db.prepare(`
    UPDATE delivery SET due_at = ?1, held_for = NULL WHERE key IN (
      SELECT key FROM delivery WHERE state = 'pending' AND held_for = ?2 ORDER BY key LIMIT ?3
    )
  `)

  function releaseSome(limit: number, nowMs: number): number {
    const source = findSource.get()?.source
    return typeof source === 'string' ? Number(release.run(nowMs, source, limit).changes) : 0
  }

  return {
    pause: ({ kind, name, by, reason }: NewPause, nowMs: number): Pause =>
      pauseOf(insert.get(kind, name, nowMs, by, reason ?? null) as PauseRow),
    resume(kind: PausedKind, name: string): Pause | undefined {
      const row = remove.get(kind, name)
      return row && pauseOf(row as PauseRow)
    },
    releaseHeld: (limit: number, nowMs: number): number =>
      damage.around(
        'the release of deliveries',
        'that are held',
        () => releaseSome(limit, nowMs),
        () => 0,
      ),
  }
}

export function preparePauseList(db: DatabaseSync) {
  const select = db.prepare('SELECT * FROM pause ORDER BY since, key')
  return (): readonly Pause[] => (select.all() as PauseRow[]).map(pauseOf)
}

/** The port, in the main thread. */
export const createPauses = (threads: StoreThreads): PauseStore => ({
  pause: async (pause) => threads.refusing() ?? threads.writes.call('pause', pause, threads.clock()),
  resume: async (kind, name) => threads.refusing() ?? threads.writes.call('resume', kind, name),
  list: async () => threads.refusing() ?? threads.reads.call('pauses'),
  releaseHeld: async (limit) => threads.refusing() ?? threads.writes.call('releaseHeld', limit, threads.clock()),
})
