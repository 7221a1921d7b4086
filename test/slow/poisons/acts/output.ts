import { closeSync, writeSync } from 'node:fs'
import type { Act } from './act.ts'

const LINES = 300_000
const RAW_BYTES = 32 * 1_048_576
const RAW_CHUNK = Buffer.alloc(65_536, 'x')
const LOW_DESCRIPTORS = Array.from({ length: 28 }, (_, n) => n + 3)

/** Whatever comes of it. */
function attempt(work: () => void): void {
  try {
    work()
  } catch {
    // A descriptor that is closed, or takes nothing just now.
  }
}

/** Each writes more than the service reads, or where it should not. */
export const output = {
  'console-flood': () => {
    for (let n = 0; n < LINES; n++) console.log(`flood: line ${n} of ${LINES}`)
  },
  'log-flood': ({ log }) => {
    for (let n = 0; n < LINES; n++) log.info({ n }, 'flood')
  },
  // No end of line: what reads lines has to keep, or to cut.
  'raw-flood': () => {
    for (let written = 0; written < RAW_BYTES; written += RAW_CHUNK.length) attempt(() => void writeSync(1, RAW_CHUNK))
  },
  'closed-stdout': () => {
    process.stdout.destroy()
    process.stderr.destroy()
    for (const descriptor of [1, 2]) attempt(() => closeSync(descriptor))
    console.log('into nothing')
    console.error('into nothing')
  },
  'garbage-to-descriptors': () => {
    for (const descriptor of LOW_DESCRIPTORS) attempt(() => void writeSync(descriptor, 'garbage\n'.repeat(100)))
  },
} satisfies Record<string, Act>
