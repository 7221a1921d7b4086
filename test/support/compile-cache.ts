import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

/** Every test starts threads and processes of the same modules: they are compiled once. Set up before each test file. */
const directory = join(import.meta.dirname, '../../node_modules/.cache/node')
enableCompileCache(directory)
process.env.NODE_COMPILE_CACHE = directory
