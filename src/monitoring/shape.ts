import { DAY_MS } from '../domain/clock.ts'
import type { DriftChange } from '../domain/drift-store.ts'
import { MAX_SHAPE_CHARACTERS } from '../domain/drift-store.ts'
import { KINDS, kindNames, type Outline, parentOf, VALUES } from './outline.ts'

/**
 * The shape of the payloads of one source and type, learned from their outlines. The rule for changes is made for few false alarms:
 *
 * - A path does not change while its parent was looked at fewer than `LEARNED_LOOKS` times (after a week: `SLOW_LOOKS`).
 * - A path or kind that was never seen is new once it was there in `CONFIRMED_LOOKS` looks, and in half of all looks since its first.
 *   One that stays rare is learned without a word: it is an optional field.
 * - A path has vanished if it was there in nearly all looks, and is then missing in `MISSED_LOOKS` looks one after the other. If it is
 *   there as null instead, its kind has changed to null. Otherwise null is like a missing path.
 * - A path counts only in looks that have its parent. So a new or vanished object is one change, whatever is in it.
 */
export interface ShapeChange {
  readonly path: string
  readonly what: DriftChange
  readonly from?: string
  readonly to?: string
}

const LEARNED_LOOKS = 50
const SLOW_LOOKS = 10
const SLOW_MS = 7 * DAY_MS
const CONFIRMED_LOOKS = 5
/** A new path or kind that is not confirmed within so many looks is optional. */
const UNDECIDED_LOOKS = 20
const NEARLY_ALL = 0.95
const MISSED_LOOKS = 20
/** Looks before those, by which a path was in nearly all. */
const FORMER_LOOKS = 30
/** Looks count half once there are so many, so that the shares of a path are those of its last looks. */
const REMEMBERED_LOOKS = 400
const MAX_PATHS = 1_000
const MAX_PATH_CHARACTERS = 49_152
/** Keys of an object that is no map. One with more, of which a payload has only some, is one. */
const MAX_CHILDREN = 64
/** Numbers in the text of a shape stay short. */
const MAX_COUNT = 9_999

interface PathShape {
  /** The kinds that are known; 0: it is not confirmed yet, or has vanished. */
  kinds: number
  /** Looks that had a value here, up to `MAX_COUNT`. */
  seen: number
  /** Of the last looks that had its parent, how many there were, and how many had a value here. */
  of: number
  hits: number
  /** Looks one after the other without a value, and with null in its place. */
  misses: number
  nulls: number
  /** Kinds that are not confirmed, and in how many of the looks since the first they were there. */
  candidate: { kinds: number; of: number; hits: number } | undefined
}

export class Shape {
  #looks = 0
  #firstAtMs: number | undefined
  readonly #paths = new Map<string, PathShape>()
  #pathCharacters = 0
  readonly #maps = new Set<string>()

  /** The number of paths. */
  get size(): number {
    return this.#paths.size
  }

  /** Looks at the outline of one payload, which was made with `maps()`. */
  look({ paths, wide }: Outline, atMs: number): readonly ShapeChange[] {
    for (const path of wide) this.#makeMap(path)
    this.#looks = Math.min(MAX_COUNT, this.#looks + 1)
    this.#firstAtMs ??= atMs
    const enough = atMs - this.#firstAtMs >= SLOW_MS ? SLOW_LOOKS : LEARNED_LOOKS
    const before = this.#paths.size
    const changes: ShapeChange[] = []
    // Parents come before what is in them.
    for (const [path, kinds] of paths) {
      if (this.#isWithinMap(path)) continue
      const change = this.#found(path, kinds, enough)
      if (change !== undefined) changes.push(change)
    }
    for (const [path, shape] of this.#paths) {
      if (paths.has(path) || !hasParent(path, paths)) continue
      const change = missed(path, shape, false)
      if (change !== undefined) changes.push(change)
    }
    if (this.#paths.size > before) this.#findMaps(paths)
    return changes
  }

  #found(path: string, bits: number, enough: number): ShapeChange | undefined {
    const values = bits & VALUES
    let shape = this.#paths.get(path)
    if (shape === undefined) {
      shape = this.#add(path)
      if (shape === undefined) return undefined
      const parent = parentOf(path)
      const above = parent === undefined ? undefined : this.#paths.get(parent)
      const within = path.endsWith('[]') ? KINDS.array : KINDS.object
      const isLearning = above === undefined || (above.kinds & within) === 0 || above.seen <= enough
      // What is learned is known at once; else it is a candidate for something new.
      if (isLearning) shape.kinds = bits
    }
    if (shape.kinds !== 0 && values === 0) {
      shape.kinds |= KINDS.null
      return missed(path, shape, true)
    }
    count(shape, values !== 0)
    // Of a path that was null so far, any value is expected.
    if (shape.kinds !== 0 && (shape.seen <= enough || shape.kinds === KINDS.null)) shape.kinds |= bits
    const fresh = shape.kinds === 0 ? bits : values & ~shape.kinds
    return fresh === 0 && shape.candidate === undefined ? undefined : confirm(path, shape, fresh)
  }

  /** Undefined: there is no room for it. */
  #add(path: string): PathShape | undefined {
    if (this.#paths.size >= MAX_PATHS || this.#pathCharacters + path.length > MAX_PATH_CHARACTERS) return undefined
    const shape: PathShape = { kinds: 0, seen: 0, of: 0, hits: 0, misses: 0, nulls: 0, candidate: undefined }
    this.#paths.set(path, shape)
    this.#pathCharacters += path.length
    return shape
  }

  /** An object whose keys are mostly other ones in each payload is a map. */
  #findMaps(outline: Outline['paths']): void {
    const known = childrenOf(this.#paths.keys())
    let here: ReadonlyMap<string, number> | undefined
    for (const [parent, children] of known) {
      if (children <= MAX_CHILDREN) continue
      here ??= childrenOf(outline.keys())
      const now = here.get(parent)
      if (now !== undefined && now <= children / 2) this.#makeMap(parent)
    }
  }

  #makeMap(path: string): void {
    if (this.#maps.has(path)) return
    this.#maps.add(path)
    const within = path === '' ? '' : `${path}.`
    for (const each of this.#paths.keys()) {
      if (each === path || each === '' || !each.startsWith(within)) continue
      this.#paths.delete(each)
      this.#pathCharacters -= each.length
    }
    const keys = this.#add(`${within}*`)
    if (keys !== undefined) keys.kinds = VALUES | KINDS.null
  }

  /** The outline was made before the object was known as a map. */
  #isWithinMap(path: string): boolean {
    for (const map of this.#maps) {
      const within = map === '' ? '' : `${map}.`
      if (path !== map && path !== '' && path.startsWith(within) && path[within.length] !== '*') return true
    }
    return false
  }

  maps(): ReadonlySet<string> {
    return this.#maps
  }

  toText(): string {
    const paths = [...this.#paths].map(([path, { kinds, seen, of, hits, misses, nulls, candidate }]) => [
      path,
      kinds,
      seen,
      of,
      hits,
      misses,
      nulls,
      ...(candidate === undefined ? [] : [candidate.kinds, candidate.of, candidate.hits]),
    ])
    const text = JSON.stringify({ form: 1, looks: this.#looks, first: this.#firstAtMs, maps: [...this.#maps], paths })
    // Cannot be: a path is bounded, and so is their number. A shape that cannot be saved would be learned again and again.
    return text.length <= MAX_SHAPE_CHARACTERS ? text : new Shape().toText()
  }

  /** Of a text that this release does not know, a new shape. */
  static fromText(text: string): Shape {
    const shape = new Shape()
    try {
      const { form, looks, first, maps, paths } = JSON.parse(text) as StoredForm
      if (form !== 1) return shape
      shape.#looks = looks
      shape.#firstAtMs = first
      for (const map of maps) shape.#maps.add(map)
      for (const [path, ...numbers] of paths) {
        const [kinds = 0, seen = 0, of = 0, hits = 0, misses = 0, nulls = 0, fresh, freshOf = 0, freshHits = 0] =
          numbers
        const candidate = fresh === undefined ? undefined : { kinds: fresh, of: freshOf, hits: freshHits }
        shape.#paths.set(path, { kinds, seen, of, hits, misses, nulls, candidate })
        shape.#pathCharacters += path.length
      }
      return shape
    } catch {
      return new Shape()
    }
  }
}

interface StoredForm {
  readonly form: number
  readonly looks: number
  readonly first: number
  readonly maps: readonly string[]
  /** Path, then the fields of `PathShape`, and of its candidate if there is one. */
  readonly paths: readonly (readonly [string, ...number[]])[]
}

/** Elements of an array, or keys of a map, of which there may be none. */
const ANY = /(?:\[\]|(?:^|\.)\*)$/

/** Whether the payload has the object or array that the path is in. */
function hasParent(path: string, outline: Outline['paths']): boolean {
  const parent = parentOf(path)
  const kind = path.endsWith('[]') ? KINDS.array : KINDS.object
  return parent !== undefined && ((outline.get(parent) ?? 0) & kind) !== 0
}

function count(shape: PathShape, isHit: boolean): void {
  if (shape.of >= REMEMBERED_LOOKS) {
    shape.of = Math.ceil(shape.of / 2)
    shape.hits = Math.ceil(shape.hits / 2)
  }
  shape.of++
  if (!isHit) return
  shape.hits++
  shape.seen = Math.min(MAX_COUNT, shape.seen + 1)
  shape.misses = 0
  shape.nulls = 0
}

/** A look that has the parent of a path, but no value at the path. */
function missed(path: string, shape: PathShape, isNull: boolean): ShapeChange | undefined {
  const { candidate } = shape
  if (candidate !== undefined) {
    candidate.of++
    decideWhetherOptional(shape)
  }
  count(shape, false)
  shape.misses = Math.min(MAX_COUNT, shape.misses + 1)
  if (isNull) shape.nulls++
  if (shape.misses !== MISSED_LOOKS || shape.kinds === 0 || ANY.test(path)) return undefined
  const before = shape.of - shape.misses
  if (before < FORMER_LOOKS || shape.hits < NEARLY_ALL * before) return undefined
  const from = kindNames(shape.kinds & VALUES)
  shape.of = 0
  shape.hits = 0
  if (shape.nulls >= NEARLY_ALL * MISSED_LOOKS) return { path, what: 'changed', from, to: 'null' }
  // If it comes back, it is new.
  shape.kinds = 0
  return { path, what: 'vanished', from }
}

/** A look at a path that has kinds, or itself, not been confirmed. `fresh`: the kinds of this look that are not known. */
function confirm(path: string, shape: PathShape, fresh: number): ShapeChange | undefined {
  shape.candidate ??= { kinds: 0, of: 0, hits: 0 }
  const { candidate } = shape
  candidate.of++
  if (fresh !== 0) {
    candidate.kinds |= fresh
    candidate.hits++
  }
  if (candidate.hits < CONFIRMED_LOOKS || candidate.hits < candidate.of / 2) {
    decideWhetherOptional(shape)
    return undefined
  }
  const [from, to] = [kindNames(shape.kinds), kindNames(candidate.kinds)]
  accept(shape, candidate.kinds)
  return from === '' ? { path, what: 'new', to } : { path, what: 'changed', from, to }
}

function decideWhetherOptional(shape: PathShape): void {
  const { candidate } = shape
  if (candidate === undefined || candidate.of < UNDECIDED_LOOKS) return
  accept(shape, candidate.kinds)
}

/** What is in an object of a new kind is learned first. */
function accept(shape: PathShape, kinds: number): void {
  shape.kinds |= kinds
  shape.seen = 0
  shape.candidate = undefined
}

/** Parent → how many keys it has. */
function childrenOf(paths: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const path of paths) {
    const parent = path.endsWith('[]') ? undefined : parentOf(path)
    if (parent !== undefined) counts.set(parent, (counts.get(parent) ?? 0) + 1)
  }
  return counts
}
