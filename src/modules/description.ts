/** What a module exports by default, as it goes from the thread that loads it to the service: as data alone. */

/** In place of a function: `{ [FUNCTION]: <the name of its constructor> }`. */
const FUNCTION = 'holdfast:function'
/** Nesting of what is exported; deeper is taken for endless. */
const MAX_DEPTH = 256

/** As JSON has it, but for functions. What classes give their instances counts as the instances' own. */
export function describe(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new RangeError(`it nests deeper than ${MAX_DEPTH}`)
  if (typeof value === 'function') return { [FUNCTION]: value.constructor.name }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => describe(item, depth + 1))
  const { toJSON } = value as { readonly toJSON?: unknown }
  if (typeof toJSON === 'function') return describe(Reflect.apply(toJSON, value, []), depth + 1)
  const members = keysOf(value).map((key) => [key, (value as Record<string, unknown>)[key]] as const)
  const given = members.filter(([, member]) => member !== undefined)
  return Object.fromEntries(given.map(([key, member]) => [key, describe(member, depth + 1)]))
}

function keysOf(value: object): readonly string[] {
  const keys = new Set(Object.keys(value))
  for (let from = Object.getPrototypeOf(value); isOfClass(from); from = Object.getPrototypeOf(from))
    for (const key of Object.getOwnPropertyNames(from)) if (key !== 'constructor') keys.add(key)
  return [...keys]
}

const isOfClass = (prototype: object | null): boolean =>
  typeof prototype?.constructor === 'function' &&
  /^class\b/.test(Function.prototype.toString.call(prototype.constructor))

/** The same again; each function in it is of its kind, and is not to be called. */
export function revive(described: unknown): unknown {
  if (Array.isArray(described)) return described.map(revive)
  if (typeof described !== 'object' || described === null) return described
  if (FUNCTION in described) return described[FUNCTION] === 'AsyncFunction' ? asynchronous : absent
  return Object.fromEntries(Object.entries(described).map(([key, member]) => [key, revive(member)]))
}

const absent = (): never => {
  throw new Error('code of a provider module runs in threads of its own alone')
}
const asynchronous = async (): Promise<never> => absent()
