import type { DatabaseSync } from 'node:sqlite'
import type { EventFilter } from '../../domain/event-store.ts'
import { compilePatterns } from '../../pipeline/type-routes.ts'

/** Pairs of source and type that are looked up one by one. */
const MAX_KINDS = 256

export interface Kind {
  readonly source: string
  readonly type: string
}

/**
 * The pairs of source and type that a filter lets through; undefined if it asks for neither, or there are too many pairs to
 * tell.
 */
export function prepareKinds(db: DatabaseSync) {
  // Each step is one search in the index. (Row values would not do: `(source, type) > (?, ?)` reads over all equal rows.)
  const nextType = db.prepare('SELECT source, type FROM event WHERE source = ? AND type > ? ORDER BY type LIMIT 1')
  const nextSource = db.prepare('SELECT source, type FROM event WHERE source > ? ORDER BY source, type LIMIT 1')

  return ({ source, type }: Pick<EventFilter, 'source' | 'type'>): readonly Kind[] | undefined => {
    if (source === undefined && type === undefined) return undefined
    if (source !== undefined && type !== undefined && !type.includes('*')) return [{ source, type }]
    const matches = compilePatterns([type ?? '*'])
    const kinds: Kind[] = []
    let row = source === undefined ? nextSource.get('') : nextType.get(source, '')
    for (let looked = 0; row !== undefined; looked++) {
      if (looked === MAX_KINDS) return undefined
      const kind = { source: String(row.source), type: String(row.type) }
      if (matches(kind.type)) kinds.push(kind)
      row = nextType.get(kind.source, kind.type) ?? (source === undefined ? nextSource.get(kind.source) : undefined)
    }
    return kinds
  }
}
