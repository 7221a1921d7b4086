import type { DatabaseSync } from 'node:sqlite'
import type { ClaimRequest } from '../../domain/store.ts'
import { preparePendingHandlers } from './next-due.ts'

export interface Candidate {
  readonly key: number
  readonly handler: string
  readonly isolated: boolean
  readonly dueAtMs: number
  readonly attempts: number
}

/** Whose turn it is to have a delivery leased, until there is no more due that there is room for. */
export interface Turns {
  /** Each is given once; the next is asked for when this one is no longer pending. */
  next(): Candidate | undefined
  /** The candidate takes a place. */
  leased(candidate: Candidate): void
}

type Select = (handler: string, isolated: boolean, rows: number) => readonly Candidate[]

/** Deliveries of a handler that are read at once. */
const READ_ROWS = 16

/**
 * Gives what is due in turns: the next is always of a handler of which the fewest run, and of those the one that has been
 * due the longest. Changes nothing.
 */
export function prepareTurns(db: DatabaseSync): (request: ClaimRequest, nowMs: number) => Turns {
  const pendingHandlers = preparePendingHandlers(db)
  const select = db.prepare(`
    SELECT key, due_at, attempts FROM delivery
    WHERE state = 'pending' AND handler = ? AND isolated = ? AND due_at <= ?
    ORDER BY due_at, key LIMIT ?
  `)

  return (request, nowMs) => {
    const read: Select = (handler, isolated, rows) =>
      select.all(handler, isolated ? 1 : 0, nowMs, rows).map((row) => ({
        key: Number(row.key),
        handler,
        isolated,
        dueAtMs: Number(row.due_at),
        attempts: Number(row.attempts),
      }))
    const pending = pendingHandlers()
    const room = { shared: request.sharedLimit, isolated: request.isolatedLimit }
    const lines = request.handlers
      .filter(({ name }) => pending.has(name))
      .map(({ name, limit, running = 0 }) => new Line(name, limit, running, room, read))
    return turnsOf(lines, room)
  }
}

function turnsOf(lines: readonly Line[], room: Room): Turns {
  return {
    next() {
      let first: Line | undefined
      for (const line of lines)
        if (line.head() !== undefined && (first === undefined || isBefore(line, first))) first = line
      return first?.take()
    },
    leased({ handler, isolated }) {
      lines.find(({ name }) => name === handler)?.leased()
      if (isolated) room.isolated--
      else room.shared--
    },
  }
}

/** Both have a head. */
const isBefore = (a: Line, b: Line): boolean =>
  a.running < b.running || (a.running === b.running && isOlder(a.head(), b.head()))

const isOlder = (a: Candidate | undefined, b: Candidate | undefined): boolean =>
  a !== undefined && (b === undefined || a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.key < b.key))

/** What may still be leased. */
interface Room {
  shared: number
  isolated: number
}

/** What is due of one handler, the oldest first, as far as there is room for it. */
class Line {
  readonly name: string
  readonly #room: Room
  readonly #shared: Reader
  readonly #isolated: Reader
  #limit: number
  #running: number

  constructor(name: string, limit: number, running: number, room: Room, read: Select) {
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
