import type { Sender } from './read-body.ts'

/** Of the whole, what bodies whose headers do not look signed may take from those that do. */
const UNSIGNED_PART = 0.25

/** One body that arrives. */
export interface Share {
  /** It takes so many bytes more; fewer if negative. */
  readonly hold: (bytes: number) => void
  /** Idempotent. */
  readonly release: () => void
}

export interface Arriving {
  /** `giveUp` is called, once, when this body has to make room for others. */
  readonly open: (sender: Sender, giveUp: () => void) => Share
  /** Whether a body of so many bytes would be held now, and not be the first to make room. Nothing is changed by asking. */
  readonly admits: (sender: Sender, bytes: number) => boolean
}

interface Body {
  bytes: number
  readonly giveUp: () => void
}

/** All bodies of one peer that look signed, or do not. */
interface Group {
  bytes: number
  readonly key: string
  readonly looksSigned: boolean
  readonly bodies: Set<Body>
}

/**
 * Bounds what all bodies still arriving hold together, fairly between peers: when it is too much, the peer that holds
 * the most gives up its largest body. So however many connections a peer opens, it takes nothing from one that sends
 * less; and bodies that do not look signed take no more than a part from those that do.
 */
export function createArriving(maxBytes: number): Arriving {
  const groups = new Map<string, Group>()
  let totalBytes = 0
  let unsignedBytes = 0

  function add(group: Group, body: Body, bytes: number): void {
    body.bytes += bytes
    group.bytes += bytes
    totalBytes += bytes
    if (!group.looksSigned) unsignedBytes += bytes
  }

  /** Undefined: there is room for all. */
  function firstToGiveUp(): Body | undefined {
    if (totalBytes <= maxBytes) return undefined
    const candidates = [...groups.values()]
    const unsigned = candidates.filter(({ looksSigned }) => !looksSigned)
    const heaviest = largest(unsignedBytes > maxBytes * UNSIGNED_PART ? unsigned : candidates)
    return largest(heaviest?.bodies ?? [])
  }

  function makeRoom(): void {
    for (let body = firstToGiveUp(); body !== undefined; body = firstToGiveUp()) body.giveUp()
  }

  function groupOf({ peer, looksSigned }: Sender): Group {
    const key = `${looksSigned ? 'signed' : 'unsigned'} ${peer}`
    const known = groups.get(key)
    if (known !== undefined) return known
    const group: Group = { key, looksSigned, bytes: 0, bodies: new Set() }
    groups.set(key, group)
    return group
  }

  function enter(sender: Sender, giveUp: () => void): { readonly group: Group; readonly body: Body } {
    const group = groupOf(sender)
    const body: Body = { bytes: 0, giveUp }
    group.bodies.add(body)
    return { group, body }
  }

  function leave(group: Group, body: Body): void {
    if (!group.bodies.delete(body)) return
    add(group, body, -body.bytes)
    if (group.bodies.size === 0) groups.delete(group.key)
  }

  return {
    open(sender, giveUp) {
      const { group, body } = enter(sender, giveUp)
      return {
        hold(bytes) {
          if (!group.bodies.has(body)) return
          add(group, body, bytes)
          if (bytes > 0) makeRoom()
        },
        release: () => leave(group, body),
      }
    },

    admits(sender, bytes) {
      if (totalBytes + bytes <= maxBytes) return true
      const { group, body } = enter(sender, () => {})
      add(group, body, bytes)
      const first = firstToGiveUp()
      leave(group, body)
      return first !== body
    },
  }
}

function largest<Item extends { readonly bytes: number }>(items: Iterable<Item>): Item | undefined {
  let found: Item | undefined
  for (const item of items) if (found === undefined || item.bytes > found.bytes) found = item
  return found
}
