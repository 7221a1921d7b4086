import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Page, PageRequest } from '../../domain/store.ts'
import type { Task } from '../../domain/task.ts'
import type { SourceActivity, TaskFilter } from '../../domain/task-store.ts'
import { cursorOf, startOf } from '../records/cursor.ts'
import { prepareKinds } from './kinds.ts'
import type { Row } from './rows.ts'
import { unlessDamaged } from './sqlite-errors.ts'
import { type Condition, StatementCache } from './statement-cache.ts'
import { taskOf } from './task-rows.ts'

/** Tasks looked at for one page; where a filter passes over more, the page is short and has a cursor. */
const MAX_LOOKED_AT = 50_000
/** Events of one type looked at for the last that came by webhook. */
const MAX_RECENT = 20_000

/** `end`: the last that was looked at, if not all were. */
interface Listed {
  readonly rows: readonly Row[]
  readonly end: number | undefined
}

/** Tasks, newest first. */
export function prepareSearchTasks(db: DatabaseSync) {
  const statements = new StatementCache(db)

  return ({ source, status }: TaskFilter, page: PageRequest): Page<Task> => {
    const { key: before } = startOf('tasks', page)
    const filter = [...optional('source = ?', source), ...optional('status = ?', status)]
    const { rows, end } =
      unlessDamaged(() => listed(before, filter, page.limit + 1)) ?? carefully(before, filter, page.limit + 1)
    const shown = rows.slice(0, page.limit)
    const last = rows.length > page.limit ? Number(shown.at(-1)?.key) : end
    return {
      items: shown.map(taskOf),
      nextCursor: last === undefined ? undefined : cursorOf('tasks', { atMs: 0, key: last }),
    }
  }

  function listed(before: number, filter: readonly Condition[], limit: number): Listed {
    const end = filter.length > 0 ? lowest(before) : undefined
    const conditions: Condition[] = [['key < ?', before], ...optional('key >= ?', end), ...filter]
    return {
      rows: statements.all('SELECT * FROM task NOT INDEXED', conditions, 'ORDER BY key DESC LIMIT ?', [limit]),
      end,
    }
  }

  /** Row by row, whose keys an index tells: what lies on damaged pages is left out. */
  function carefully(before: number, filter: readonly Condition[], limit: number): Listed {
    const keys = statements
      .all('SELECT key FROM task INDEXED BY task_by_uid', [['key < ?', before]], 'ORDER BY key DESC LIMIT ?', [
        MAX_LOOKED_AT,
      ])
      .map(({ key }) => Number(key))
    const rows: Row[] = []
    for (const key of keys) {
      if (rows.length >= limit) break
      const one = () => statements.all('SELECT * FROM task NOT INDEXED', [['key = ?', key], ...filter], '', [])
      rows.push(...(unlessDamaged(one) ?? []))
    }
    return { rows, end: keys.length < MAX_LOOKED_AT ? undefined : keys.at(-1) }
  }

  /** The last task that may be looked at; undefined if all may. */
  function lowest(before: number): number | undefined {
    const tail = 'ORDER BY key DESC LIMIT 1 OFFSET ?'
    const [row] = statements.all('SELECT key FROM task', [['key < ?', before]], tail, [MAX_LOOKED_AT - 1])
    return row && Number(row.key)
  }
}

const optional = (sql: string, value: SQLInputValue | undefined): readonly Condition[] =>
  value === undefined ? [] : [[sql, value]]

export function prepareFindTask(db: DatabaseSync) {
  const byId = db.prepare('SELECT * FROM task WHERE source = ? AND id = ?')
  const byUid = db.prepare('SELECT * FROM task WHERE uid = ? AND source = ?')
  return (source: string, id: string): Task | undefined => {
    const row = byId.get(source, id) ?? byUid.get(id.toLowerCase(), source)
    return row && taskOf(row)
  }
}

export function prepareActivity(db: DatabaseSync) {
  const kinds = prepareKinds(db)
  const lastOfKind = db.prepare(`
    SELECT max(received_at) AS at FROM (
      SELECT received_at, origin FROM event WHERE source = ? AND type = ? ORDER BY received_at DESC LIMIT ${MAX_RECENT}
    ) WHERE origin = 'webhook'
  `)
  const lastOfAny = db.prepare(`
    SELECT max(received_at) AS at FROM (
      SELECT received_at, origin, source FROM event ORDER BY received_at DESC LIMIT ${MAX_LOOKED_AT}
    ) WHERE origin = 'webhook' AND source = ?
  `)
  const recovered = db.prepare(
    "SELECT count(*) AS n FROM task WHERE source = ? AND ended_at >= ? AND resolved_by = 'poll'",
  )
  return (source: string, sinceMs: number): SourceActivity => {
    const rows = kinds({ source })?.map(({ type }) => lastOfKind.get(source, type)) ?? [lastOfAny.get(source)]
    const times = rows.flatMap((row) => (typeof row?.at === 'number' ? [row.at] : []))
    return {
      lastWebhookAtMs: times.length === 0 ? undefined : Math.max(...times),
      recovered: Number(recovered.get(source, sinceMs)?.n),
    }
  }
}
