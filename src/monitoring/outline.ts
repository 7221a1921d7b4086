/**
 * The outline of a payload: its paths, with the kinds of values at each. It has names of fields and kinds, never a value; a name that
 * looks like data (an id, an address, a date) is replaced by `*`.
 */
export interface Outline {
  /** Path → bits of `KINDS`. The path of the payload itself is empty. */
  readonly paths: ReadonlyMap<string, number>
  /** Objects with so many keys that they are taken for maps. */
  readonly wide: readonly string[]
}

/** Integers and fractions are one kind. */
export const KINDS = { string: 1, number: 2, boolean: 4, object: 8, array: 16, null: 32 } as const
/** All but null. */
export const VALUES = 31

/** Bounds of one payload; a payload beyond `MAX_NODES` has no outline. */
const MAX_NODES = 4_096
const MAX_DEPTH = 12
/** Elements of an array that are looked at. */
const MAX_ELEMENTS = 16
/** Keys of an object; one with more is a map. */
const MAX_KEYS = 256
const MAX_PATH_LENGTH = 256
const MAX_KEY_LENGTH = 64

/** Undefined: the payload is too large, or no object or array. `maps`: paths of objects that are used as maps. */
export function outlineOf(payload: unknown, maps: ReadonlySet<string> = new Set()): Outline | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined
  const paths = new Map<string, number>()
  const wide: string[] = []
  const waiting: { readonly path: string; readonly value: unknown; readonly depth: number }[] = []
  let nodes = 0
  const add = (path: string, value: unknown, depth: number): void => {
    nodes++
    if (path.length > MAX_PATH_LENGTH) return
    paths.set(path, (paths.get(path) ?? 0) | kindOf(value))
    if (typeof value === 'object' && value !== null && depth < MAX_DEPTH) waiting.push({ path, value, depth })
  }
  add('', payload, 0)
  // oxlint-disable-next-line typescript/prefer-for-of -- the list grows while it is walked
  for (let at = 0; at < waiting.length; at++) {
    const { path, value, depth } = waiting[at] as (typeof waiting)[number]
    if (Array.isArray(value)) {
      for (const element of value.slice(0, MAX_ELEMENTS)) add(`${path}[]`, element, depth + 1)
    } else {
      const keys = Object.keys(value as object)
      const isMap = maps.has(path) || keys.length > MAX_KEYS
      if (keys.length > MAX_KEYS) wide.push(path)
      for (const key of isMap ? keys.slice(0, MAX_ELEMENTS) : keys) {
        const name = isMap || looksLikeData(key) ? '*' : key
        add(path === '' ? name : `${path}.${name}`, (value as Record<string, unknown>)[key], depth + 1)
      }
    }
    if (nodes > MAX_NODES) return undefined
  }
  return { paths, wide }
}

function kindOf(value: unknown): number {
  if (value === null) return KINDS.null
  if (Array.isArray(value)) return KINDS.array
  const kind = typeof value
  return kind === 'string' || kind === 'number' || kind === 'boolean' || kind === 'object' ? KINDS[kind] : 0
}

/** The names of kinds, as `number|string`; empty if there are none. */
export const kindNames = (bits: number): string =>
  Object.entries(KINDS)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .toSorted()
    .join('|')

/** Where the object or array is that a path is in. Undefined for the payload itself. */
export function parentOf(path: string): string | undefined {
  if (path === '') return undefined
  if (path.endsWith('[]')) return path.slice(0, -2)
  return path.slice(0, Math.max(0, path.lastIndexOf('.')))
}

/** Characters of ordinary field names; the first may be another sign (`@type`, `$ref`, `+1`). */
const NAME = /^[^\s\p{C}.[\]*]?[\p{L}\p{N}_ -]*$/u
const DIGITS_ONLY = /^[+-]?\d+$/
const DATE = /\d{4}-\d{2}(?:-\d{2})?/
const HEX = /^(?=.*\d)[0-9a-f]{12,}$/i
/** A word, and digits or random characters: `cus_123`, `cus_NffrFeUfNV2Hib`. */
const ID = /^[a-z]+_(?:\d{3,}|(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{8,})$/
/** A word and digits at its end, as in `line1`, `sha256`, `iso8601`, `address_line_2`. */
const NUMBERED_WORD = /^[a-z]+(?:[_-]?[a-z]+)*[_-]?\d{1,4}(?:[_-]?[a-z]+)*$/i

/** Whether a key is a piece of data, such as an id, rather than the name of a field. */
export function looksLikeData(key: string): boolean {
  if (key === '' || key.length > MAX_KEY_LENGTH || !NAME.test(key)) return true
  const digits = key.replace(/\D/g, '').length
  if (digits === 0) return false
  if (DIGITS_ONLY.test(key)) return key !== '+1' && key !== '-1'
  if (DATE.test(key) || HEX.test(key)) return true
  if (ID.test(key)) return true
  return digits >= 3 && !NUMBERED_WORD.test(key)
}
