import { createRequire } from 'node:module'

/**
 * Tests open the same listeners again and again in a process. What Fastify compiles of their routes, which is pure, is compiled once:
 * the validator of each schema, and the function for each list of parameters.
 */
type Compile = (route: { readonly schema: object }) => unknown
type CompilerOf = (externalSchemas: object, options: object) => Compile
interface HandlerStorage {
  _compileCreateParamsObject(this: void, params: readonly string[]): unknown
}

const fastify = createRequire(createRequire(import.meta.url).resolve('fastify'))

function once<Key, Value>(make: (key: Key) => Value): (key: Key, text: string) => Value {
  const made = new Map<string, Value>()
  return (key, text) => {
    const value = made.get(text) ?? make(key)
    made.set(text, value)
    return value
  }
}

function compileSchemasOnce(): void {
  const name = '@fastify/ajv-compiler'
  const pool: CompilerOf = fastify(name)()
  const compilers = new Map<Compile, Compile>()
  const shared: CompilerOf = (externalSchemas, options) => {
    const compile = pool(externalSchemas, options)
    const validatorOf = once(compile)
    const known = compilers.get(compile) ?? ((route) => validatorOf(route, JSON.stringify(route.schema)))
    compilers.set(compile, known)
    return known
  }
  const module = fastify.cache[fastify.resolve(name)]
  if (module === undefined) throw new Error(`${name} is no module that Fastify requires`)
  module.exports = () => shared
}

function compileParametersOnce(): void {
  const storage = (fastify('find-my-way/lib/handler-storage') as { readonly prototype: HandlerStorage }).prototype
  const compile = once(storage._compileCreateParamsObject)
  storage._compileCreateParamsObject = (params) => compile(params, params.join('/'))
}

const isDone = Symbol.for('holdfast.test.compile-once')
if (!(isDone in globalThis)) {
  Object.assign(globalThis, { [isDone]: true })
  compileSchemasOnce()
  compileParametersOnce()
}

/** Vitest has Node look for a source map in each text that is compiled, of which none has one. */
process.setSourceMapsEnabled(false)
