import { enableCompileCache, registerHooks } from 'node:module'
import { join } from 'node:path'
import { registerModuleHooks } from '../../src/modules/module-hooks.ts'

/** Tests start threads and processes of the same modules again and again: each module is compiled once. */
const directory = join(import.meta.dirname, '../../node_modules/.cache/node')
enableCompileCache(directory)
process.env.NODE_COMPILE_CACHE = directory

/** `holdfast` is the Holdfast of this clone, and needs no build. */
registerModuleHooks()

/** Vitest adds the time to the address of a test file. Without it, the cache does not grow with every run. */
registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context)
    return { ...resolved, url: resolved.url.replace(/\?vitest=\d+$/, '') }
  },
})
