import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { EventStatus } from '../../domain/event.ts'
import type { AppendResult, EventRow } from '../common/event-row.ts'
import { firstDeliveryKey } from '../common/keys.ts'
import { conflictHash, type Dedupe, firstHash } from './dedupe.ts'
import type { EndTask } from './end-task.ts'
import type { Tally } from './tally.ts'

export interface Appender {
  /** Keeps one event in the open transaction. What it offers is leased from `nowMs` on. */
  append(event: EventRow, body: Uint8Array, nowMs: number): AppendResult
  rolledBack(): void
  committed(): void
}

export function prepareAppend(db: DatabaseSync, dedupe: Dedupe, tally: Tally, endTask: EndTask): Appender {
  const insertEvent = db.prepare(`
    INSERT INTO event (key, uid, source, provider, id, variant, type, created_at, received_at, origin, status, reasons, task,
      api_version, headers, traceparent, checksum, size, task_end, task_word)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (uid) DO NOTHING
  `)
  const insertBody = db.prepare('INSERT INTO event_body (key, bytes) VALUES (?, ?)')
  const insertDelivery = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES (?, ?, 'pending', ?, 0, 0)
  `)
  const insertLeased = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, lease, lease_until, started_at)
    VALUES (?, ?, 'running', ?, 1, 0, ?, ?, ?)
  `)
  const known = prepareKnown(db, dedupe)
  let committedKey = dedupe.lastKey()
  let lastKey = committedKey

  function insert(event: EventRow, body: Uint8Array, checksum: string, status: EventStatus, nowMs: number): boolean {
    const [uid, source, provider, id, type, createdAt, receivedAtMs, origin] = event
    const conflict = status === 'conflict'
    const key = lastKey + 1
    const kept = insertEvent.run(
      key,
      uid,
      source,
      provider,
      id,
      conflict ? 1 : 0,
      type,
      createdAt,
      receivedAtMs,
      origin,
      status,
      event[9],
      event[10],
      event[11],
      event[12],
      event[13],
      checksum,
      body.length,
      event[16],
      event[17],
    )
    if (kept.changes === 0) return false
    lastKey = key
    insertBody.run(key, body)
    dedupe.add(conflict ? conflictHash(source, id, checksum) : firstHash(source, id), key)
    if (status !== 'conflict' && status !== 'superseded') insertDeliveries(key, event, nowMs)
    return true
  }

  function insertDeliveries(eventKey: number, event: EventRow, nowMs: number): void {
    const [uid, handlers, dueAtMs, leased, leaseMs] = [event[0], event[15], event[6], event[19], event[20]]
    const firstKey = firstDeliveryKey(eventKey)
    handlers.forEach((handler, place) => {
      if (leased?.includes(place) !== true) insertDelivery.run(firstKey + place, handler, dueAtMs)
      else insertLeased.run(firstKey + place, handler, dueAtMs, uid, nowMs + (leaseMs ?? 0), nowMs)
    })
    const running = leased?.length ?? 0
    if (running > 0) tally.add('running', running)
    if (handlers.length > running) tally.add('pending', handlers.length - running)
  }

  return {
    append(event, body, nowMs) {
      const [uid, source, , id] = event
      const effect = endTask.effectOf(event)
      if (effect.kind === 'fenced') return { outcome: 'fenced', uid }
      const checksum = hash('sha256', body)
      // What was asked for is known by its lease, whatever webhooks call themselves.
      const first = event[18] !== null ? undefined : known(firstHash(source, id), source, id, 0)
      const conflict = first !== undefined && first.checksum !== checksum
      if (first !== undefined && !conflict) return { outcome: 'duplicate', uid: first.uid }
      if (conflict) {
        const same = known(conflictHash(source, id, checksum), source, id, 1, checksum)
        if (same !== undefined) return { outcome: 'conflict', uid: same.uid }
      }
      const outcome = conflict ? 'conflict' : effect.kind === 'superseded' ? 'superseded' : 'accepted'
      if (!insert(event, body, checksum, outcome === 'accepted' ? event[8] : outcome, nowMs))
        return { error: 'invalid_request', message: `uid ${uid} is taken` }
      if (outcome !== 'accepted') return { outcome, uid }
      const leasedKey = event[19] === null ? null : lastKey
      if (effect.kind !== 'ends') return leasedKey
      const ended = endTask.resolve(effect.task, effect.end, effect.asked, uid, event[6])
      return { outcome, uid, ended, ...(leasedKey !== null && { leasedKey }) }
    },
    committed() {
      committedKey = lastKey
    },
    rolledBack() {
      lastKey = committedKey
    },
  }
}

interface Known {
  readonly uid: string
  readonly checksum: string
}

/** Finds the event of a source and id (and, for a conflicting one, body) among those that share its hash. */
function prepareKnown(db: DatabaseSync, dedupe: Dedupe) {
  const select = db.prepare('SELECT uid, source, id, variant, checksum FROM event WHERE key = ?')
  return (hash: number, source: string, id: string, variant: 0 | 1, checksum?: string): Known | undefined => {
    for (const key of dedupe.find(hash)) {
      const row = select.get(key)
      if (row === undefined || row.variant !== variant || row.source !== source || row.id !== id) continue
      if (checksum !== undefined && row.checksum !== checksum) continue
      return { uid: String(row.uid), checksum: String(row.checksum) }
    }
    return undefined
  }
}
