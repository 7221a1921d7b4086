import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_HELD_BACK_MS, MAX_TAIL_SKEW_MS, type TailedEvent, type TailPage } from '../../domain/event-tail.ts'
import { EVENT_COLUMNS, type EventRow, eventSummaryOf } from '../shared/events.ts'
import type { Connections, Row } from './connections.ts'
import { isDamage } from './errors.ts'

const LAST_KEY = {
  name: 'tail-end',
  text: 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS key FROM event_key_seq',
}
/** A transaction that has taken keys holds this lock until its events can be seen. */
const KEY_HOLDERS = {
  name: 'tail-holders',
  text: `
    SELECT DISTINCT virtualtransaction AS holder FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'event_key_seq'::regclass AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  `,
}
const SINCE = {
  name: 'tail-since',
  text: 'SELECT key FROM event WHERE received_at >= $1 ORDER BY received_at, key LIMIT 1',
}
const NEXT = {
  name: 'tail',
  text: `SELECT ${EVENT_COLUMNS} FROM event WHERE key > $1 AND key <= $2 ORDER BY key LIMIT $3`,
}

/** How often one read looks again whether the transactions have ended that hold events back, and how long it waits between. */
const LOOKS = 5
const LOOK_PAUSE_MS = 20

/**
 * Keys are taken from a sequence before the commit, so that an event may appear after one with a higher key. A key counts as settled,
 * and events up to it are read, when no transaction runs any more that may have taken a key up to it.
 */
export function createTail(connections: Connections) {
  let settled = 0
  /** The key up to which keys were taken at some time, and the transactions that had taken keys and still ran then. */
  let pending: { readonly key: number; readonly atMs: number; holders: ReadonlySet<string> | undefined } | undefined
  let settling: Promise<number> | undefined

  async function settle(): Promise<number> {
    for (let look = 0; look < LOOKS; look++) {
      if (look > 0) await sleep(LOOK_PAUSE_MS)
      pending ??= { key: await lastKey(), atMs: performance.now(), holders: undefined }
      const holders = new Set((await connections.run<HolderRow>('read', KEY_HOLDERS)).map(({ holder }) => holder))
      pending.holders = pending.holders?.intersection(holders) ?? holders
      if (pending.holders.size > 0 && performance.now() - pending.atMs < MAX_HELD_BACK_MS) continue
      settled = Math.max(settled, pending.key)
      pending = undefined
      return settled
    }
    return settled
  }

  function settledKey(): Promise<number> {
    settling ??= settle().finally(() => {
      settling = undefined
    })
    return settling
  }

  async function lastKey(): Promise<number> {
    const [row] = await connections.run<KeyRow>('read', LAST_KEY)
    return row?.key ?? 0
  }

  async function tailEnd(): Promise<number> {
    const key = await lastKey()
    for (;;) {
      const end = await settledKey()
      if (end >= key) return end
    }
  }

  async function tailSince(sinceMs: number): Promise<number> {
    const [row] = await connections.run<KeyRow>('read', SINCE, [Math.round(sinceMs - MAX_TAIL_SKEW_MS)])
    const end = await tailEnd()
    return row === undefined ? end : Math.min(row.key - 1, end)
  }

  async function tail(after: number, limit: number): Promise<TailPage> {
    const end = (await lastKey()) > after ? await settledKey() : after
    if (end <= after) return { events: [], position: after }
    const events = await read(after, end, limit)
    return { events, position: events.length < limit ? end : (events.at(-1)?.position ?? end) }
  }

  async function read(after: number, end: number, limit: number): Promise<readonly TailedEvent[]> {
    try {
      return (await connections.run<EventRow>('read', NEXT, [after, end, limit])).map(tailed)
    } catch (error) {
      if (!isDamage(error)) throw error
      // The event lies on a damaged page, and is left out.
      if (end === after + 1) return []
      const half = Math.floor((after + end) / 2)
      return [...(await read(after, half, limit)), ...(await read(half, end, limit))]
    }
  }

  return { tailEnd, tailSince, tail }
}

const tailed = (row: EventRow): TailedEvent => ({ position: row.key, event: eventSummaryOf(row) })

interface KeyRow extends Row {
  readonly key: number
}

interface HolderRow extends Row {
  readonly holder: string
}
