import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { CONFLICTING, FIRST, type Variant } from '../shared/events.ts'
import { isCorruption, unlessDamaged } from './errors.ts'
import type { Row } from './statement-cache.ts'

/**
 * How many entries are kept in memory before they are written to the table. While they are written, as many new ones may
 * gather.
 */
const MEMTABLE_ENTRIES = 65_536
/** How many entries one commit writes to the table, in order of hash. */
const FLUSH_SLICE_ENTRIES = 512
const HASH_HEX_DIGITS = 12

/**
 * The hash of an event that has its id: 48 bits, which a number holds. Two events may have the same hash, so the reader of the
 * index must compare the rows.
 */
export const firstHash = (source: string, id: string): number => shortHash(`${source}\0${id}`)
/** The hash of an event that does not have its id (it is in conflict, or was not understood): its body is part of it. */
export const variantHash = (source: string, id: string, checksum: string): number =>
  shortHash(`${source}\0${id}\0${checksum}`)

/** The hash of all events that are in conflict about an id. */
export const conflictHash = (source: string, id: string): number => shortHash(`${source}\0${id}\0conflict`)

/** The part of an event by which the index knows it. */
export interface Named {
  readonly source: string
  readonly id: string
  readonly checksum: string
  readonly variant: Variant
}

/** All hashes of an event. */
export function hashesOf({ source, id, checksum, variant }: Named): readonly number[] {
  if (variant === FIRST) return [firstHash(source, id)]
  const own = variantHash(source, id, checksum)
  return variant === CONFLICTING ? [own, conflictHash(source, id)] : [own]
}

const shortHash = (text: string): number => Number.parseInt(hash('sha256', text).slice(0, HASH_HEX_DIGITS), 16)

type Keys = number | readonly number[]
interface IndexEntry {
  readonly hash: number
  readonly event: number
}

/**
 * The index from (source, id) to event: a table in order of hash, with the newest entries in memory in front of it. An entry
 * written straight to the table would change a page of its own; written by the thousand, in order, many entries share a page.
 * The memory is rebuilt from the event table: at open, every event past the watermark is read again.
 *
 * After changes in a transaction, call `committed` or `rolledBack`.
 */
export class IdentityIndex {
  readonly #lookUp
  readonly #insert
  readonly #delete
  readonly #setWatermark
  #recent = new Map<number, Keys>()
  #flushing = new Map<number, Keys>()
  #flushOrder = new Float64Array(0)
  #flushed = 0
  #flushedInTransaction = 0
  /** The greatest event key in each of the two maps. */
  #recentUntil: number
  #flushingUntil = 0
  #added: IndexEntry[] = []
  #removed: IndexEntry[] = []

  constructor(db: DatabaseSync) {
    this.#lookUp = db.prepare('SELECT event FROM dedupe WHERE hash = ?')
    this.#insert = db.prepare('INSERT OR IGNORE INTO dedupe VALUES (?, ?)')
    this.#delete = db.prepare('DELETE FROM dedupe WHERE hash = ? AND event = ?')
    this.#setWatermark = db.prepare("UPDATE watermark SET value = ? WHERE name = 'dedupe'")
    this.#recentUntil = Number(db.prepare("SELECT value FROM watermark WHERE name = 'dedupe'").get()?.value)
    this.#recover(db)
  }

  /** The greatest key in the index. New events need greater keys, or they would not be read again at open. */
  lastKey = (): number => this.#recentUntil

  /** Keys of the events that may have the hash, those of the open transaction included, in order of arrival. */
  find(hash: number): readonly number[] {
    const stored = this.#lookUp.all(hash)
    const recent = this.#recent.get(hash)
    const flushing = this.#flushing.get(hash)
    if (stored.length === 0 && recent === undefined && flushing === undefined) return NONE
    const keys = [...stored.map(({ event }) => Number(event)), ...keysIn(flushing), ...keysIn(recent)]
    return keys.length < 2 ? keys : [...new Set(keys)].sort((a, b) => a - b)
  }

  add(event: number, named: Named): void {
    for (const hash of hashesOf(named)) {
      this.#added.push({ hash, event })
      put(this.#recent, hash, event)
    }
    this.#recentUntil = event
  }

  /** Replaces the hashes of an event, in the table at once: it may be older than the events that are read again at open. */
  rename(event: number, from: Named, to: Named): void {
    this.remove(event, from)
    for (const hash of hashesOf(to)) this.#insert.run(hash, event)
  }

  remove(event: number, named: Named): void {
    for (const hash of hashesOf(named)) {
      this.#removed.push({ hash, event })
      this.#delete.run(hash, event)
    }
  }

  /** For a savepoint that is rolled back: the entries removed since `mark` stay. */
  markRemoved = (): number => this.#removed.length
  keepRemovedSince(mark: number): void {
    this.#removed.length = mark
  }

  /** Writes the next slice to the table, in the open transaction, if one is due. */
  flushSlice(): void {
    if (this.#flushOrder.length === 0) return
    const end = Math.min(this.#flushed + FLUSH_SLICE_ENTRIES, this.#flushOrder.length)
    for (const hash of this.#flushOrder.subarray(this.#flushed, end)) {
      for (const event of keysIn(this.#flushing.get(hash))) this.#insert.run(hash, event)
    }
    this.#flushedInTransaction = end - this.#flushed
    if (end === this.#flushOrder.length) this.#setWatermark.run(this.#flushingUntil)
  }

  committed(): void {
    for (const { hash, event } of this.#removed) {
      take(this.#recent, hash, event)
      take(this.#flushing, hash, event)
    }
    this.#flushed += this.#flushedInTransaction
    if (this.#flushed > 0 && this.#flushed === this.#flushOrder.length) {
      this.#flushing = new Map()
      this.#flushOrder = new Float64Array(0)
      this.#flushed = 0
    }
    this.#forgetTransaction()
    if (this.#flushOrder.length === 0 && this.#recent.size >= MEMTABLE_ENTRIES) this.#rotate()
  }

  rolledBack(): void {
    for (const { hash, event } of this.#added) {
      take(this.#recent, hash, event)
      take(this.#flushing, hash, event)
    }
    this.#forgetTransaction()
  }

  #forgetTransaction(): void {
    this.#flushedInTransaction = 0
    if (this.#added.length > 0) this.#added = []
    if (this.#removed.length > 0) this.#removed = []
  }

  #rotate(): void {
    this.#flushing = this.#recent
    this.#flushingUntil = this.#recentUntil
    this.#flushOrder = Float64Array.from(this.#flushing.keys()).sort()
    this.#recent = new Map()
  }

  #recover(db: DatabaseSync): void {
    const identity = 'SELECT key, source, id, variant, checksum FROM event WHERE key'
    const rows = db.prepare(`${identity} > ? ORDER BY key`)
    try {
      for (const row of rows.iterate(this.#recentUntil)) this.#know(row)
    } catch (error) {
      if (!isCorruption(error)) throw error
      const one = db.prepare(`${identity} = ?`)
      for (const key of keysPast(db, this.#recentUntil)) {
        const row = unlessDamaged(() => one.get(key))
        if (row !== undefined) this.#know(row)
        this.#recentUntil = key
      }
    }
  }

  #know(row: Row): void {
    for (const hash of hashesOf(namedOf(row))) put(this.#recent, hash, Number(row.key))
    this.#recentUntil = Number(row.key)
  }
}

export const namedOf = (row: Row): Named => ({
  source: String(row.source),
  id: String(row.id),
  checksum: String(row.checksum),
  variant: Number(row.variant) as Variant,
})

/** Keys past `last` that events may have, if not every page of the events can be read. */
function* keysPast(db: DatabaseSync, last: number): Generator<number> {
  const greatest = [
    'SELECT max(key) AS key FROM event',
    'SELECT max(key) AS key FROM event_body',
    'SELECT max(key) / 1024 AS key FROM delivery',
  ]
  const until = Math.max(last, ...greatest.map((sql) => Number(unlessDamaged(() => db.prepare(sql).get())?.key ?? 0)))
  for (let key = last + 1; key <= until; key++) yield key
}

const NONE: readonly number[] = []

const keysIn = (keys: Keys | undefined): readonly number[] =>
  keys === undefined ? NONE : typeof keys === 'number' ? [keys] : keys

function put(entries: Map<number, Keys>, hash: number, event: number): void {
  const known = entries.get(hash)
  entries.set(hash, known === undefined ? event : [...keysIn(known), event])
}

function take(entries: Map<number, Keys>, hash: number, event: number): void {
  const known = entries.get(hash)
  if (known === undefined) return
  const left = keysIn(known).filter((key) => key !== event)
  if (left.length === 0) entries.delete(hash)
  else entries.set(hash, left)
}
