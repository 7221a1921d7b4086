import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { Receipt } from '../../domain/store.ts'
import { conflictHash, type Dedupe, firstHash } from './dedupe.ts'
import { firstDeliveryKey } from './keys.ts'
import type { AppendResult, EventRow } from './messages.ts'
import type { Tally } from './tally.ts'

export interface Appender {
  /** Keeps one event in the open transaction. */
  append(event: EventRow, body: Uint8Array): AppendResult
  rolledBack(): void
  committed(): void
}

export function prepareAppend(db: DatabaseSync, dedupe: Dedupe, tally: Tally): Appender {
  const insertEvent = db.prepare(`
    INSERT INTO event (key, uid, source, provider, id, variant, type, created_at, received_at, origin, status, reasons, task,
      api_version, headers, traceparent, checksum, size)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (uid) DO NOTHING
  `)
  const insertBody = db.prepare('INSERT INTO event_body (key, bytes) VALUES (?, ?)')
  const insertDelivery = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES (?, ?, 'pending', ?, 0, 0)
  `)
  const known = prepareKnown(db, dedupe)
  let committedKey = dedupe.lastKey()
  let lastKey = committedKey

  function insert(event: EventRow, body: Uint8Array, checksum: string, conflict: boolean): boolean {
    const [uid, source, provider, id, type, createdAt, receivedAtMs, origin, status] = event
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
      conflict ? 'conflict' : status,
      event[9],
      event[10],
      event[11],
      event[12],
      event[13],
      checksum,
      body.length,
    )
    if (kept.changes === 0) return false
    lastKey = key
    insertBody.run(key, body)
    dedupe.add(conflict ? conflictHash(source, id, checksum) : firstHash(source, id), key)
    if (!conflict) insertDeliveries(key, event[15], receivedAtMs)
    return true
  }

  function insertDeliveries(eventKey: number, handlers: readonly string[], dueAtMs: number): void {
    let key = firstDeliveryKey(eventKey)
    for (const handler of handlers) insertDelivery.run(key++, handler, dueAtMs)
    if (handlers.length > 0) tally.add('pending', handlers.length)
  }

  return {
    append(event, body) {
      const [uid, source, , id] = event
      const checksum = hash('sha256', body)
      const first = known(firstHash(source, id), source, id, 0)
      const conflict = first !== undefined && first.checksum !== checksum
      if (first !== undefined && !conflict) return { outcome: 'duplicate', uid: first.uid }
      if (conflict) {
        const same = known(conflictHash(source, id, checksum), source, id, 1, checksum)
        if (same !== undefined) return { outcome: 'conflict', uid: same.uid }
      }
      if (!insert(event, body, checksum, conflict)) return { error: 'invalid_request', message: `uid ${uid} is taken` }
      return conflict ? ({ outcome: 'conflict', uid } satisfies Receipt) : null
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
