import { hash } from 'node:crypto'
import type { WebhookEvent } from './event.ts'

/**
 * The order keys of an event, by the name of the handler. A handler that is missing runs the event in no order. Events of one
 * handler with the same key run one after another (`DeliveryQueue`).
 */
export type OrderKeys = Readonly<Record<string, number>>

/** The fields of an event that the first part of an `orderBy` may name. All are known before the event is stored. */
const ORDER_FIELDS = ['data', 'id', 'type', 'task', 'source', 'provider', 'api_version', 'created_at'] as const
export type OrderedEvent = Partial<Pick<WebhookEvent<string, unknown>, (typeof ORDER_FIELDS)[number]>>

/** Parts of an `orderBy`, and its characters. */
const MAX_ORDER_PARTS = 16
const MAX_ORDER_LENGTH = 256

/** Why a handler cannot be ordered by this option; undefined if it can. */
export function orderByFault(orderBy: unknown): string | undefined {
  const example = `a path in the event such as data.object.id, which begins with ${ORDER_FIELDS.join(', ')}`
  if (typeof orderBy !== 'string' || orderBy.length > MAX_ORDER_LENGTH) return `orderBy is ${example}`
  const [field, ...parts] = orderBy.split('.')
  const isKnown = ORDER_FIELDS.some((each) => each === field)
  const hasPath = field !== 'data' || parts.length > 0
  if (isKnown && hasPath && parts.length < MAX_ORDER_PARTS && parts.every((part) => part !== '')) return undefined
  return `orderBy is ${JSON.stringify(orderBy)}, not ${example}`
}

/** Compiles an `orderBy`. The result is undefined for an event that has no text, number or boolean there. */
export function compileOrderBy(orderBy: string): (event: OrderedEvent) => number | undefined {
  const parts = orderBy.split('.')
  return (event) => {
    let value: unknown = event
    for (const part of parts) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
      value = (value as Readonly<Record<string, unknown>>)[part]
    }
    return ['string', 'number', 'boolean'].includes(typeof value) ? orderKeyOf(String(value)) : undefined
  }
}

/** Hex digits of the hash that make a key: 48 bits, which a number holds exactly. */
const KEY_DIGITS = 12

/**
 * The value may be long, and may be personal data, so that only a part of its SHA-256 is stored. Two values with the same key
 * only wait for each other without need.
 */
const orderKeyOf = (value: string): number => Number.parseInt(hash('sha256', value).slice(0, KEY_DIGITS), 16)

/** The order key of one handler; null: it runs the event in no order. */
export const orderKeyFor = (keys: OrderKeys | undefined, handler: string): number | null =>
  keys !== undefined && Object.hasOwn(keys, handler) ? (keys[handler] ?? null) : null
