import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Page, PageRequest } from '../../domain/page.ts'
import type { Task } from '../../domain/task.ts'
import { MAX_STUCK_COUNTED, type SourceActivity, type TaskFilter } from '../../domain/task-store.ts'
import {
  cutPage,
  MAX_RECENT_READ,
  MAX_TASKS_READ,
  optional,
  type PageRows,
  type Position,
  startOf,
} from '../shared/list-pages.ts'
import { stuckOf, type TaskRow, taskOf, taskPosition } from '../shared/tasks.ts'
import { unlessDamaged } from './errors.ts'
import { prepareSourceTypes } from './search-events.ts'
import { type SqlCondition, StatementCache } from './statement-cache.ts'

/** Lists tasks, newest first. */
export function prepareSearchTasks(db: DatabaseSync) {
  const statements = new StatementCache(db)

  return ({ source, status, staleAtMs }: TaskFilter, page: PageRequest): Page<Task> => {
    const { key: before } = startOf('tasks', page)
    const filter = [
      ...optional<SQLInputValue>('source = ?', source),
      ...optional<SQLInputValue>('status = ?', status),
      ...optional<SQLInputValue>('ended_at IS NULL AND stale_at <= ?', staleAtMs),
    ]
    const found =
      unlessDamaged(() => listed(before, filter, page.limit + 1)) ?? carefully(before, filter, page.limit + 1)
    const { shown, nextCursor } = cutPage('tasks', page, found, taskPosition)
    return { items: shown.map(taskOf), nextCursor }
  }

  function listed(before: number, filter: readonly SqlCondition[], limit: number): PageRows<TaskRow> {
    const end = filter.length > 0 ? lowest(before) : undefined
    const conditions: SqlCondition[] = [
      ['key < ?', before],
      ...optional<SQLInputValue>('key >= ?', end?.key),
      ...filter,
    ]
    const rows = statements.all('SELECT * FROM task NOT INDEXED', conditions, 'ORDER BY key DESC LIMIT ?', [limit])
    return { rows: rows as TaskRow[], end }
  }

  /** Reads the tasks row by row, as an index lists their keys, and leaves out those on damaged pages. */
  function carefully(before: number, filter: readonly SqlCondition[], limit: number): PageRows<TaskRow> {
    const keys = statements
      .all('SELECT key FROM task INDEXED BY task_by_uid', [['key < ?', before]], 'ORDER BY key DESC LIMIT ?', [
        MAX_TASKS_READ,
      ])
      .map(({ key }) => Number(key))
    const rows: TaskRow[] = []
    for (const key of keys) {
      if (rows.length >= limit) break
      const one = () => statements.all('SELECT * FROM task NOT INDEXED', [['key = ?', key], ...filter], '', [])
      rows.push(...((unlessDamaged(one) ?? []) as TaskRow[]))
    }
    const last = keys.at(-1)
    return { rows, end: keys.length < MAX_TASKS_READ || last === undefined ? undefined : { atMs: 0, key: last } }
  }

  /** The last task that may be read; undefined if all may. */
  function lowest(before: number): Position | undefined {
    const tail = 'ORDER BY key DESC LIMIT 1 OFFSET ?'
    const [row] = statements.all('SELECT key FROM task', [['key < ?', before]], tail, [MAX_TASKS_READ - 1])
    return row && { atMs: 0, key: Number(row.key) }
  }
}

export function prepareFindTask(db: DatabaseSync) {
  const byId = db.prepare('SELECT * FROM task WHERE source = ? AND id = ?')
  const byUid = db.prepare('SELECT * FROM task WHERE uid = ? AND source = ?')
  return (source: string, id: string): Task | undefined => {
    const row = byId.get(source, id) ?? byUid.get(id.toLowerCase(), source)
    return row && taskOf(row as TaskRow)
  }
}

export function prepareActivity(db: DatabaseSync) {
  const kinds = prepareSourceTypes(db)
  const lastOfKind = db.prepare(`
    SELECT max(received_at) AS at FROM (
      SELECT received_at, origin FROM event WHERE source = ? AND type = ? ORDER BY received_at DESC LIMIT ${MAX_RECENT_READ}
    ) WHERE origin = 'webhook'
  `)
  const lastOfAny = db.prepare(`
    SELECT max(received_at) AS at FROM (
      SELECT received_at, origin, source FROM event ORDER BY received_at DESC LIMIT ${MAX_TASKS_READ}
    ) WHERE origin = 'webhook' AND source = ?
  `)
  const recovered = db.prepare(
    "SELECT count(*) AS n FROM task WHERE source = ? AND ended_at >= ? AND resolved_by = 'poll'",
  )
  const stuck = db.prepare(`
    SELECT count(*) AS n, min(stale_at) AS at FROM (
      SELECT stale_at FROM task INDEXED BY task_due_failed WHERE source = ?1 AND ended_at IS NULL AND failures > 0
      LIMIT ${MAX_STUCK_COUNTED}
    ) WHERE stale_at < ?2
  `)
  return (source: string, sinceMs: number): SourceActivity => {
    const rows = kinds({ source })?.map(({ type }) => lastOfKind.get(source, type)) ?? [lastOfAny.get(source)]
    const times = rows.flatMap((row) => (typeof row?.at === 'number' ? [row.at] : []))
    return {
      lastWebhookAtMs: times.length === 0 ? undefined : Math.max(...times),
      recovered: Number(recovered.get(source, sinceMs)?.n),
      stuck: stuckOf(unlessDamaged(() => stuck.get(source, sinceMs))),
    }
  }
}
