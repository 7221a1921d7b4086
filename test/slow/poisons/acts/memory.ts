import { DatabaseSync } from 'node:sqlite'
import type { Act } from './act.ts'

const MIB = 1_048_576
/** Off the heap, where no engine stops it: past this, the service has failed to, and the machine is spared. */
const MAX_OFF_HEAP_BYTES = 3 * 1_024 * MIB
const CHUNK_BYTES = 8 * MIB
const WASM_PAGE_BYTES = 65_536

/** What of WebAssembly is needed here; no types of it come without those of a browser. */
interface WasmApi {
  Memory: new (limits: { initial: number; maximum: number }) => { buffer: ArrayBuffer; grow: (pages: number) => number }
}
const Wasm = Reflect.get(globalThis, 'WebAssembly') as WasmApi

/** Never let go. */
const hoard: unknown[] = []

function offHeap(chunkBytes: number, take: () => unknown): void {
  for (let taken = 0; taken < MAX_OFF_HEAP_BYTES; taken += chunkBytes) hoard.push(take())
  throw new Error('nothing stopped it')
}

/** Each takes memory until something stops it. */
export const memory = {
  'memory-set': () => {
    const set = new Set<string>()
    for (let n = 0; ; n++) set.add(`k${n}`)
  },
  'memory-map': () => {
    const map = new Map<number, object>()
    for (let n = 0; ; n++) map.set(n, { n })
  },
  'memory-spread': () => {
    let array = [hoard.length]
    for (;;) array = [...array, ...array]
  },
  'memory-sparse-array': () => {
    const array: object[] = []
    for (let n = 0; ; n++) array[(n * 104_729) % (2 ** 32 - 2)] = { n }
  },
  'memory-strings': () => {
    for (;;) hoard.push(Buffer.alloc(100_000, 'x').toString('latin1'))
  },
  'memory-buffers': () => offHeap(CHUNK_BYTES, () => Buffer.alloc(CHUNK_BYTES, 1)),
  'memory-closures': () => {
    for (let n = 0; ; n++) {
      const held = Array.from({ length: 1_000 }, () => n)
      hoard.push(() => held)
    }
  },
  // Of a library's own, which the engine does not even know of.
  'memory-native': () => {
    const database = new DatabaseSync(':memory:')
    database.exec('CREATE TABLE hoard (bytes BLOB)')
    const insert = database.prepare('INSERT INTO hoard VALUES (zeroblob(?))')
    return offHeap(CHUNK_BYTES, () => insert.run(CHUNK_BYTES))
  },
  'memory-wasm': () => {
    const pages = CHUNK_BYTES / WASM_PAGE_BYTES
    const grown = new Wasm.Memory({ initial: 1, maximum: 1 + MAX_OFF_HEAP_BYTES / WASM_PAGE_BYTES })
    return offHeap(CHUNK_BYTES, () => {
      const from = grown.grow(pages) * WASM_PAGE_BYTES
      return new Uint8Array(grown.buffer, from).fill(1)
    })
  },
} satisfies Record<string, Act>
