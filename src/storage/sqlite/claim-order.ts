import type { DatabaseSync } from 'node:sqlite'
import type { ClaimRequest } from '../../domain/delivery-queue.ts'
import type { Damage } from './damage.ts'
import { preparePendingHandlers } from './due-deliveries.ts'
import type { Row } from './statement-cache.ts'

export interface Candidate {
  readonly key: number
  readonly handler: string
  readonly isolated: boolean
  readonly dueAtMs: number
  readonly attempts: number
}

/** Whose turn it is to have a delivery leased, until there is no more due that there is room for. */
export interface ClaimOrder {
  /** Each is given once; the next is asked for when this one is no longer pending. */
  next(): Candidate | undefined
  /** The candidate stays pending, and is not given again for as long as the process runs. */
  passOver(candidate: Candidate): undefined
  /** The candidate takes a place. */
  leased(candidate: Candidate): void
}

type Select = (handler: string, isolated: boolean, rows: number) => readonly Candidate[]

/** Deliveries of a handler that are read at once. */
const READ_ROWS = 16

/**
 * Gives what is due in turns: the next is always of a handler of which the fewest run, and of those the one that has been
 * due the longest. Changes nothing. What lies on damaged pages is left out.
 */
export function prepareClaimOrder(
  db: DatabaseSync,
  damage: Damage,
): (request: ClaimRequest, nowMs: number) => ClaimOrder {
  const pendingHandlers = preparePendingHandlers(db)
  const passedOver = new Set<number>()
  const select = prepareSelect(db, damage, passedOver)

  function pending({ handlers }: ClaimRequest): ReadonlySet<string> {
    return damage.around(
      'the handlers of what is due',
      '',
      pendingHandlers,
      () => new Set(handlers.map(({ name }) => name)),
    )
  }

  return (request, nowMs) => {
    const named = pending(request)
    const room = { shared: request.sharedLimit, isolated: request.isolatedLimit }
    const read: Select = (handler, isolated, rows) => select(handler, isolated, rows, nowMs)
    const lines = request.handlers
      .filter(({ name }) => named.has(name))
      .map(({ name, limit, running = 0 }) => new HandlerQueue(name, limit, running, room, read))
    return claimOrderOf(lines, room, passedOver)
  }
}

type HandlerKey = readonly [handler: string, isolated: 0 | 1]

function prepareSelect(db: DatabaseSync, damage: Damage, passedOver: ReadonlySet<number>) {
  const select = db.prepare(`
    SELECT key, due_at, attempts FROM delivery
    WHERE state = 'pending' AND handler = ? AND isolated = ? AND due_at <= ? ORDER BY due_at, key LIMIT ?
  `)
  const selectCarefully = prepareCarefulSelect(db, damage, passedOver)

  return (handler: string, isolated: boolean, rows: number, nowMs: number): readonly Candidate[] => {
    const line = [handler, isolated ? 1 : 0] as const
    const carefully = () => selectCarefully(line, rows, nowMs)
    const simply = () =>
      damage.around('what is due for', line.join(), () => select.all(...line, nowMs, rows), carefully)
    const found: readonly Row[] = passedOver.size === 0 ? simply() : carefully()
    return found.map((row) => ({
      key: Number(row.key),
      handler,
      isolated,
      dueAtMs: Number(row.due_at),
      attempts: Number(row.attempts),
    }))
  }
}

/**
 * Reads the index alone, so that a damaged page of the table costs only the deliveries on it; and of the index what lies behind its
 * last damaged page.
 */
function prepareCarefulSelect(db: DatabaseSync, damage: Damage, passedOver: ReadonlySet<number>) {
  const from = `FROM delivery INDEXED BY delivery_pending WHERE state = 'pending' AND handler = ? AND isolated = ?`
  const oldest = db.prepare(`
    SELECT key, due_at ${from} AND due_at BETWEEN ? AND ? AND key NOT IN (SELECT value FROM json_each(?))
    ORDER BY due_at, key LIMIT ?
  `)
  const newest = db.prepare(`SELECT due_at ${from} AND due_at >= ? ORDER BY due_at DESC, key DESC`)
  const attemptsOf = db.prepare('SELECT attempts FROM delivery WHERE key = ?')
  const readableFromMs = new Map<string, number>()

  /** Goes from the end of the index to the damage. */
  function findReadable(line: HandlerKey, fromMs: number): void {
    let readableMs = Number.MAX_SAFE_INTEGER - 1
    try {
      for (const row of newest.iterate(...line, fromMs)) readableMs = Number(row.due_at)
      readableMs = fromMs
    } catch {
      // The entry before this one is the damaged page's neighbour, and looking for it would lead there.
      readableMs++
    }
    readableFromMs.set(line.join(), readableMs)
  }

  return (line: HandlerKey, rows: number, nowMs: number): readonly Row[] => {
    const fromMs = readableFromMs.get(line.join()) ?? 0
    const found = damage.orMend(
      'the index of what is due for',
      line.join(),
      () => oldest.all(...line, fromMs, nowMs, JSON.stringify([...passedOver]), rows),
      () => findReadable(line, fromMs),
    )
    return found.map((row) => {
      const key = Number(row.key)
      const attempts = damage.around(
        'the row of delivery',
        key,
        () => attemptsOf.get(key)?.attempts ?? 0,
        () => 0,
      )
      return { ...row, attempts }
    })
  }
}

function claimOrderOf(lines: readonly HandlerQueue[], room: FreeSlots, passedOver: Set<number>): ClaimOrder {
  return {
    next() {
      let first: HandlerQueue | undefined
      for (const line of lines)
        if (line.head() !== undefined && (first === undefined || isBefore(line, first))) first = line
      return first?.take()
    },
    passOver({ key }) {
      passedOver.add(key)
      return undefined
    },
    leased({ handler, isolated }) {
      lines.find(({ name }) => name === handler)?.leased()
      if (isolated) room.isolated--
      else room.shared--
    },
  }
}

/** Both have a head. */
const isBefore = (a: HandlerQueue, b: HandlerQueue): boolean =>
  a.running < b.running || (a.running === b.running && isOlder(a.head(), b.head()))

const isOlder = (a: Candidate | undefined, b: Candidate | undefined): boolean =>
  a !== undefined && (b === undefined || a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.key < b.key))

/** What may still be leased. */
interface FreeSlots {
  shared: number
  isolated: number
}

/** What is due of one handler, the oldest first, as far as there is room for it. */
class HandlerQueue {
  readonly name: string
  readonly #room: FreeSlots
  readonly #shared: Reader
  readonly #isolated: Reader
  #limit: number
  #running: number

  constructor(name: string, limit: number, running: number, room: FreeSlots, read: Select) {
    this.name = name
    this.#limit = limit
    this.#running = running
    this.#room = room
    this.#shared = new Reader((rows) => read(name, false, rows))
    this.#isolated = new Reader((rows) => read(name, true, rows))
  }

  get running(): number {
    return this.#running
  }

  head(): Candidate | undefined {
    const shared = this.#shared.head(Math.min(this.#limit, this.#room.shared))
    const isolated = this.#isolated.head(Math.min(this.#limit, this.#room.isolated))
    return isOlder(isolated, shared) ? isolated : shared
  }

  take(): Candidate | undefined {
    const head = this.head()
    if (head?.isolated === true) this.#isolated.drop()
    else this.#shared.drop()
    return head
  }

  leased(): void {
    this.#limit--
    this.#running++
  }
}

/** Reads on when all that it has read was dropped: none of that is pending any more. */
class Reader {
  readonly #read: (rows: number) => readonly Candidate[]
  #rows: readonly Candidate[] = []
  #at = 0
  #isDone = false

  constructor(read: (rows: number) => readonly Candidate[]) {
    this.#read = read
  }

  /** Undefined with no `room`. */
  head(room: number): Candidate | undefined {
    if (room <= 0) return undefined
    if (this.#at === this.#rows.length && !this.#isDone) {
      const rows = Math.min(room, READ_ROWS)
      this.#rows = this.#read(rows)
      this.#at = 0
      this.#isDone = this.#rows.length < rows
    }
    return this.#rows[this.#at]
  }

  drop(): void {
    this.#at++
  }
}
