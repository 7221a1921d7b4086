import { catalogue } from '../../domain/catalogue.ts'
import { compilePatterns } from '../../pipeline/type-pattern.ts'
import type { MetricsOptions } from './options.ts'

/** What `type` says for a type that nothing knows. */
const OTHER_TYPE = 'other'
/** Distinct types counted by name: a handler of `*` knows any type, and labels must not grow without end. */
const MAX_TYPES = 500

export const same = <Label extends string>(label: Label): Label => label

/** Resolves each label once: what is left of a count is a lookup and an addition. Bounded by what `label` can give. */
export function memo<Key extends string | undefined, Label extends string, Child>(
  label: (key: Key) => Label,
  make: (label: Label) => Child,
): (key: Key) => Child {
  const children = new Map<Label, Child>()
  return (key) => {
    const name = label(key)
    const known = children.get(name)
    if (known !== undefined) return known
    const child = make(name)
    children.set(name, child)
    return child
  }
}

export function boundedTypes(handlers: MetricsOptions['handlers']): (type: string) => string {
  const known = new Set<string>(Object.keys(catalogue))
  let compiled: ReturnType<MetricsOptions['handlers']> = []
  let isHandled = compilePatterns([])
  return (type) => {
    if (known.has(type)) return type
    const current = handlers()
    if (current !== compiled) isHandled = compilePatterns(current.flatMap(({ types }) => types))
    compiled = current
    if (known.size >= MAX_TYPES || !isHandled(type)) return OTHER_TYPE
    known.add(type)
    return type
  }
}
