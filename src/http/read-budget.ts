/** The share of the budget that bodies without a signature in their headers may take from bodies with one. */
const UNSIGNED_PART = 0.25

/** The sender of one body. */
export interface Sender {
  /** All bodies of one peer together count as one user of the budget. */
  readonly peer: string
  /** The request's headers have what a signed request needs. */
  readonly looksSigned: boolean
}

/** The part of the budget that one body uses. */
export interface BudgetShare {
  /** Adds this many bytes to the body's part; a negative number removes some. */
  readonly hold: (bytes: number) => void
  /** Idempotent. */
  readonly release: () => void
}

interface Body {
  bytes: number
  readonly evict: () => void
}

/** All bodies of one peer that look signed, or all that do not. */
interface Group {
  bytes: number
  readonly key: string
  readonly looksSigned: boolean
  readonly bodies: Set<Body>
}

/**
 * Bounds the memory of all bodies that are still arriving, fairly between peers. Above the bound, it evicts the largest body of the
 * peer that holds the most. So a peer, with any number of connections, takes nothing from a peer that sends less. Bodies that do not
 * look signed take at most `UNSIGNED_PART` from those that do.
 */
export class ReadBudget {
  readonly #maxBytes: number
  readonly #groups = new Map<string, Group>()
  #totalBytes = 0
  #unsignedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Calls `evict`, once, when this body must make room for others. */
  open(sender: Sender, evict: () => void): BudgetShare {
    const group = this.#groupOf(sender)
    const body = enter(group, evict)
    return {
      hold: (bytes) => {
        if (!group.bodies.has(body)) return
        this.#add(group, body, bytes)
        if (bytes > 0) this.#makeRoom()
      },
      release: () => this.#leave(group, body),
    }
  }

  /** Whether the budget would hold a body of this size now, and not evict it first. Changes nothing. */
  admits(sender: Sender, bytes: number): boolean {
    if (this.#totalBytes + bytes <= this.#maxBytes) return true
    const group = this.#groupOf(sender)
    const body = enter(group, () => {})
    this.#add(group, body, bytes)
    const evicted = this.#nextToEvict()
    this.#leave(group, body)
    return evicted !== body
  }

  #makeRoom(): void {
    for (let body = this.#nextToEvict(); body !== undefined; body = this.#nextToEvict()) body.evict()
  }

  /** Undefined: all bodies fit into the budget. */
  #nextToEvict(): Body | undefined {
    if (this.#totalBytes <= this.#maxBytes) return undefined
    const candidates = [...this.#groups.values()]
    const unsigned = candidates.filter(({ looksSigned }) => !looksSigned)
    const heaviest = largest(this.#unsignedBytes > this.#maxBytes * UNSIGNED_PART ? unsigned : candidates)
    return largest(heaviest?.bodies ?? [])
  }

  #add(group: Group, body: Body, bytes: number): void {
    body.bytes += bytes
    group.bytes += bytes
    this.#totalBytes += bytes
    if (!group.looksSigned) this.#unsignedBytes += bytes
  }

  #leave(group: Group, body: Body): void {
    if (!group.bodies.delete(body)) return
    this.#add(group, body, -body.bytes)
    if (group.bodies.size === 0) this.#groups.delete(group.key)
  }

  #groupOf({ peer, looksSigned }: Sender): Group {
    const key = `${looksSigned ? 'signed' : 'unsigned'} ${peer}`
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    const group: Group = { key, looksSigned, bytes: 0, bodies: new Set() }
    this.#groups.set(key, group)
    return group
  }
}

function enter(group: Group, evict: () => void): Body {
  const body: Body = { bytes: 0, evict }
  group.bodies.add(body)
  return body
}

function largest<Item extends { readonly bytes: number }>(items: Iterable<Item>): Item | undefined {
  let found: Item | undefined
  for (const item of items) if (found === undefined || item.bytes > found.bytes) found = item
  return found
}
