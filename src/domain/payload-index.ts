import { MAX_NAME_LENGTH } from './limits.ts'
import { eachValueAt } from './payload-match.ts'

/** A path of `SOURCE_<NAME>_KEYS`: its values in the payloads of the source are indexed. */
export interface PayloadPath {
  readonly source: string
  readonly path: string
}

export interface IndexedPath extends PayloadPath {
  /** How much of the stored events is in the index, from 0 to 1: the newest events first. */
  readonly share: number
}

/** The index of values in payloads, which a search with `match` uses. Events are indexed in the commit that stores them (`NewEvent.indexed`). */
export interface PayloadIndex {
  /**
   * From now on the values at these paths are indexed, and at no others. To be called before the first append, and again after the paths
   * have changed: every event that is appended afterwards must have its values at all of these paths.
   */
  keepPaths(paths: readonly PayloadPath[]): Promise<void>
  /** By source and path. */
  indexedPaths(): Promise<readonly IndexedPath[]>
  /** Takes a bounded number of the events that were stored before their path was kept into the index. False: nothing is left. */
  indexStep(): Promise<boolean>
}

/** The paths that all of these configurations of sources have. */
export function commonPaths(
  configurations: readonly (readonly { readonly name: string; readonly keys: readonly string[] }[])[],
): readonly PayloadPath[] {
  const [first = [], ...others] = configurations
  return first.flatMap(({ name, keys }) =>
    keys
      .filter((path) => others.every((sources) => sources.find((other) => other.name === name)?.keys.includes(path)))
      .map((path) => ({ source: name, path })),
  )
}

/** A value at a path of the payload. */
export type IndexedValue = readonly [path: string, value: string]

/** Paths of one source. */
export const MAX_KEYS = 8
/** Values of one event at one path; an event with more is indexed as one that has to be read. */
const MAX_VALUES = 32
/** A longer body is indexed as one that has to be read: to look through it would take too long here. */
export const MAX_INDEXED_BYTES = 256 * 1024

/** In place of the values of an event: it has to be read to know them. No harm is done if it is a value itself. */
export const TO_BE_READ = '\uffff'

/**
 * The values of a payload at these paths, each once. Values that are too long for a condition are left out. `body`: null if it is longer than
 * `MAX_INDEXED_BYTES`.
 */
export function indexedValues(
  paths: readonly string[],
  body: Uint8Array | null,
  contentType: string | undefined,
): readonly IndexedValue[] {
  return paths.flatMap((path) => {
    if (body === null || body.length > MAX_INDEXED_BYTES) return [[path, TO_BE_READ] as const]
    const values = new Set<string>()
    eachValueAt(body, contentType, path, (value) => {
      if (value.length <= MAX_NAME_LENGTH) values.add(value)
      return values.size <= MAX_VALUES
    })
    return values.size > MAX_VALUES ? [[path, TO_BE_READ] as const] : [...values].map((value) => [path, value] as const)
  })
}
