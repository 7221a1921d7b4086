import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Milliseconds on a clock that all processes of the machine share. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6

const BYTES_PER_START = 16

/**
 * A handler of `bench.rate` that does nothing but note which event it got and when: two numbers in memory, written to a
 * file of its own a few times a second.
 */
const handlerNotingIn = (directory: string): string => `
  import { openSync, writeSync } from 'node:fs'
  import { threadId } from 'node:worker_threads'
  const starts = new Float64Array(2 * 1024)
  const FLUSH_MS = 200
  let used = 0
  let timer
  let file
  function flush() {
    clearTimeout(timer)
    timer = undefined
    file ??= openSync(${JSON.stringify(directory)} + '/' + process.pid + '-' + threadId + '-' + Date.now(), 'a')
    writeSync(file, new Uint8Array(starts.buffer, 0, used * 8))
    used = 0
  }
  export default (router) => router.on('bench.rate', { name: 'rate' }, (event) => {
    starts[used++] = event.data.n
    starts[used++] = Number(process.hrtime.bigint()) / 1e6
    if (used === starts.length) flush()
    else timer ??= setTimeout(flush, FLUSH_MS)
  })
`

/** What the handlers of one service noted. */
export interface Starts {
  readonly handlersDir: string
  /** When each event, by its number, was first started since the last call of `forget`; NaN: not yet, as far as is known. */
  read(count: number): Float64Array
  forget(): void
}

export function noteStartsIn(directory: string): Starts {
  const [handlersDir, notes] = [join(directory, 'handlers'), join(directory, 'starts')]
  for (const each of [handlersDir, notes]) mkdirSync(each, { recursive: true })
  writeFileSync(join(handlersDir, 'rate.js'), handlerNotingIn(notes))
  const seenBytes = new Map<string, number>()
  return {
    handlersDir,
    read(count) {
      const startedAtMs = new Float64Array(count).fill(Number.NaN)
      for (const name of readdirSync(notes)) {
        const bytes = readFileSync(join(notes, name))
        for (let at = seenBytes.get(name) ?? 0; at + BYTES_PER_START <= bytes.length; at += BYTES_PER_START) {
          const [n, atMs] = [bytes.readDoubleLE(at), bytes.readDoubleLE(at + 8)]
          if (!((startedAtMs[n] ?? 0) <= atMs)) startedAtMs[n] = atMs
        }
      }
      return startedAtMs
    },
    forget() {
      for (const name of readdirSync(notes)) seenBytes.set(name, readFileSync(join(notes, name)).length)
    },
  }
}
