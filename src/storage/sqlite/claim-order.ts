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
  /** It has an order key. */
  readonly ordered: boolean
}

/** The due deliveries in the order in which they are leased, as far as there are free slots. */
interface ClaimOrder {
  /**
   * Returns each delivery once. Must be called again only when the delivery before is no longer pending, or was passed over.
   */
  next(): Candidate | undefined
  /** Says that the candidate stays pending. It is not returned again while the process runs. */
  passOver(candidate: Candidate): undefined
  /** Says that the candidate was leased, which takes a slot. */
  leased(candidate: Candidate): void
}

type Select = (handler: string, isolated: boolean, rows: number) => readonly Candidate[]

/** How many deliveries of one handler are read at once. */
const READ_ROWS = 16

/**
 * A fair order over the handlers: the next delivery always belongs to the handler with the fewest running deliveries, and among
 * several such handlers to the one whose delivery has been due the longest. Changes nothing. Leaves out deliveries on damaged
 * pages.
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
      'the handlers of due deliveries',
      '',
      pendingHandlers,
      () => new Set(handlers.map(({ name }) => name)),
    )
  }

  return (request, nowMs) => {
    const named = pending(request)
    const slots = { shared: request.sharedLimit, isolated: request.isolatedLimit }
    const read: Select = (handler, isolated, rows) => select(handler, isolated, rows, nowMs)
    const queues = request.handlers
      .filter(({ name }) => named.has(name))
      .map(({ name, limit, running = 0 }) => new HandlerQueue(name, limit, running, slots, read))
    return claimOrderOf(queues, slots, passedOver)
  }
}

type HandlerKey = readonly [handler: string, isolated: 0 | 1]

function prepareSelect(db: DatabaseSync, damage: Damage, passedOver: ReadonlySet<number>) {
  const select = db.prepare(`
    SELECT key, due_at, attempts, order_key FROM delivery
    WHERE state = 'pending' AND handler = ? AND isolated = ? AND due_at <= ? ORDER BY due_at, key LIMIT ?
  `)
  const selectCarefully = prepareCarefulSelect(db, damage, passedOver)

  return (handler: string, isolated: boolean, rows: number, nowMs: number): readonly Candidate[] => {
    const queue = [handler, isolated ? 1 : 0] as const
    const carefully = () => selectCarefully(queue, rows, nowMs)
    const simply = () =>
      damage.around('the due deliveries of', queue.join(), () => select.all(...queue, nowMs, rows), carefully)
    const found: readonly Row[] = passedOver.size === 0 ? simply() : carefully()
    return found.map((row) => ({
      key: Number(row.key),
      handler,
      isolated,
      dueAtMs: Number(row.due_at),
      attempts: Number(row.attempts),
      ordered: typeof row.order_key === 'number',
    }))
  }
}

/**
 * Reads the index alone, so that a damaged page of the table costs only the deliveries on it. If the index is damaged too,
 * reads only the part behind its last damaged page.
 */
function prepareCarefulSelect(db: DatabaseSync, damage: Damage, passedOver: ReadonlySet<number>) {
  const from = `FROM delivery INDEXED BY delivery_pending WHERE state = 'pending' AND handler = ? AND isolated = ?`
  const oldest = db.prepare(`
    SELECT key, due_at ${from} AND due_at BETWEEN ? AND ? AND key NOT IN (SELECT value FROM json_each(?))
    ORDER BY due_at, key LIMIT ?
  `)
  const newest = db.prepare(`SELECT due_at ${from} AND due_at >= ? ORDER BY due_at DESC, key DESC`)
  const restOf = db.prepare('SELECT attempts, order_key FROM delivery WHERE key = ?')
  const readableFromMs = new Map<string, number>()

  /** Reads the index from its end back to the damage, to find from which time on it can be read. */
  function findReadable(queue: HandlerKey, fromMs: number): void {
    let readableMs = Number.MAX_SAFE_INTEGER - 1
    try {
      for (const row of newest.iterate(...queue, fromMs)) readableMs = Number(row.due_at)
      readableMs = fromMs
    } catch {
      // The next entry adjoins the damaged page: a search for it would read that page.
      readableMs++
    }
    readableFromMs.set(queue.join(), readableMs)
  }

  return (queue: HandlerKey, rows: number, nowMs: number): readonly Row[] => {
    const fromMs = readableFromMs.get(queue.join()) ?? 0
    const found = damage.orMend(
      'the index of due deliveries of',
      queue.join(),
      () => oldest.all(...queue, fromMs, nowMs, JSON.stringify([...passedOver]), rows),
      () => findReadable(queue, fromMs),
    )
    return found.map((row) => {
      const key = Number(row.key)
      const rest = damage.around(
        'the row of delivery',
        key,
        () => restOf.get(key),
        () => undefined,
      )
      return { ...row, attempts: 0, ...rest }
    })
  }
}

function claimOrderOf(queues: readonly HandlerQueue[], slots: FreeSlots, passedOver: Set<number>): ClaimOrder {
  return {
    next() {
      let first: HandlerQueue | undefined
      for (const queue of queues)
        if (queue.head() !== undefined && (first === undefined || isBefore(queue, first))) first = queue
      return first?.take()
    },
    passOver({ key }) {
      passedOver.add(key)
      return undefined
    },
    leased({ handler, isolated }) {
      queues.find(({ name }) => name === handler)?.leased()
      if (isolated) slots.isolated--
      else slots.shared--
    },
  }
}

/** Both queues must have a head. */
const isBefore = (a: HandlerQueue, b: HandlerQueue): boolean =>
  a.running < b.running || (a.running === b.running && isOlder(a.head(), b.head()))

const isOlder = (a: Candidate | undefined, b: Candidate | undefined): boolean =>
  a !== undefined && (b === undefined || a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.key < b.key))

/** How many more deliveries may be leased. */
interface FreeSlots {
  shared: number
  isolated: number
}

/** The due deliveries of one handler, the oldest first, as far as there are free slots. */
class HandlerQueue {
  readonly name: string
  readonly #slots: FreeSlots
  readonly #shared: CandidateReader
  readonly #isolated: CandidateReader
  #limit: number
  #running: number

  constructor(name: string, limit: number, running: number, slots: FreeSlots, read: Select) {
    this.name = name
    this.#limit = limit
    this.#running = running
    this.#slots = slots
    this.#shared = new CandidateReader((rows) => read(name, false, rows))
    this.#isolated = new CandidateReader((rows) => read(name, true, rows))
  }

  get running(): number {
    return this.#running
  }

  head(): Candidate | undefined {
    const shared = this.#shared.head(Math.min(this.#limit, this.#slots.shared))
    const isolated = this.#isolated.head(Math.min(this.#limit, this.#slots.isolated))
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

/** Reads more rows only once all rows that it has read were dropped: by then none of those deliveries is pending. */
class CandidateReader {
  readonly #read: (rows: number) => readonly Candidate[]
  #rows: readonly Candidate[] = []
  #at = 0
  #isDone = false

  constructor(read: (rows: number) => readonly Candidate[]) {
    this.#read = read
  }

  /** Undefined if `slots` is 0 or less. */
  head(slots: number): Candidate | undefined {
    if (slots <= 0) return undefined
    if (this.#at === this.#rows.length && !this.#isDone) {
      const rows = Math.min(slots, READ_ROWS)
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
