import type { Page, PageRequest } from '../../domain/page.ts'
import type { Task } from '../../domain/task.ts'
import { MAX_STUCK_COUNTED, type SourceActivity, type TaskFilter } from '../../domain/task-store.ts'
import {
  type Condition,
  cutPage,
  MAX_RECENT_READ,
  MAX_TASKS_READ,
  optional,
  type Position,
  startOf,
} from '../shared/list-pages.ts'
import { type StuckRow, stuckOf, type TaskRow, taskOf, taskPosition } from '../shared/tasks.ts'
import { type Connections, select, type Value } from './connections.ts'
import { unlessDamaged } from './errors.ts'
import { escapeText, isUuid } from './escape-text.ts'

/** How many event types of a source are read to find the last event that came by webhook. */
const MAX_TYPES = 256

/** Lists tasks, newest first. */
export function createSearchTasks(connections: Connections) {
  return async ({ source, status, staleAtMs }: TaskFilter, page: PageRequest): Promise<Page<Task>> => {
    const { key: before } = startOf('tasks', page)
    const isFiltered = source !== undefined || status !== undefined || staleAtMs !== undefined
    const end = isFiltered ? await lowest(before) : undefined
    const conditions: Condition<Value>[] = [
      ['key < ?', before],
      ...optional<Value>('key >= ?', end?.key),
      ...optional<Value>('source = ?', source === undefined ? undefined : escapeText(source)),
      ...optional<Value>('status = ?', status),
      ...optional<Value>('ended_at IS NULL AND stale_at <= ?', staleAtMs),
    ]
    const rows = await select<TaskRow>(connections, 'SELECT * FROM task', conditions, 'ORDER BY key DESC LIMIT ?', [
      page.limit + 1,
    ])
    const { shown, nextCursor } = cutPage('tasks', page, { rows, end }, taskPosition)
    return { items: shown.map(taskOf), nextCursor }
  }

  /** The last task that may be read; undefined if all may. */
  async function lowest(before: number): Promise<Position | undefined> {
    const tail = 'ORDER BY key DESC LIMIT 1 OFFSET ?'
    const [row] = await select<TaskRow>(connections, 'SELECT key FROM task', [['key < ?', before]], tail, [
      MAX_TASKS_READ - 1,
    ])
    return row && taskPosition(row)
  }
}

const BY_ID = { name: 'task-by-id', text: 'SELECT * FROM task WHERE source = $1 AND id = $2' }
const BY_UID = { name: 'task-by-uid', text: 'SELECT * FROM task WHERE source = $1 AND uid = $2' }

export function createFindTask(connections: Connections) {
  return async (source: string, id: string): Promise<Task | undefined> => {
    const [byId] = await connections.run<TaskRow>('read', BY_ID, [escapeText(source), escapeText(id)])
    const [row] =
      byId || !isUuid(id) ? [byId] : await connections.run<TaskRow>('read', BY_UID, [escapeText(source), id])
    return row && taskOf(row)
  }
}

/** Reads type by type through the index, however many events each type has. */
const ACTIVITY = {
  name: 'activity',
  text: `
    WITH RECURSIVE known (type) AS (
      (SELECT type FROM event WHERE source = $1 ORDER BY type LIMIT 1)
      UNION ALL
      SELECT (SELECT e.type FROM event AS e WHERE e.source = $1 AND e.type > k.type ORDER BY e.type LIMIT 1)
      FROM known AS k WHERE k.type IS NOT NULL
    )
    SELECT (
      SELECT max(recent.received_at) FROM (SELECT type FROM known WHERE type IS NOT NULL LIMIT ${MAX_TYPES}) AS k,
      LATERAL (
        SELECT e.received_at, e.origin FROM event AS e WHERE e.source = $1 AND e.type = k.type
        ORDER BY e.received_at DESC, e.key DESC LIMIT ${MAX_RECENT_READ}
      ) AS recent WHERE recent.origin = 'webhook'
    ) AS last_webhook_at,
    (SELECT count(*)::integer FROM task WHERE source = $1 AND ended_at >= $2 AND resolved_by = 'poll') AS recovered
  `,
}

const STUCK = {
  name: 'stuck-tasks',
  text: `
    SELECT count(*)::integer AS n, min(stale_at) AS at FROM (
      SELECT stale_at FROM task WHERE source = $1 AND ended_at IS NULL AND failures > 0 LIMIT ${MAX_STUCK_COUNTED}
    ) AS failed WHERE stale_at < $2
  `,
}

export function createActivity(connections: Connections) {
  return async (source: string, sinceMs: number): Promise<SourceActivity> => {
    const [row] = await connections.run<{ last_webhook_at: number | null; recovered: number }>('read', ACTIVITY, [
      escapeText(source),
      sinceMs,
    ])
    const [stuck] = await unlessDamaged(connections.run<StuckRow>('read', STUCK, [escapeText(source), sinceMs]), [])
    return {
      lastWebhookAtMs: row?.last_webhook_at ?? undefined,
      recovered: row?.recovered ?? 0,
      stuck: stuckOf(stuck),
    }
  }
}
