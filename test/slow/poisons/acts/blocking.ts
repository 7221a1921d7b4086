import { execSync } from 'node:child_process'
import { pbkdf2Sync } from 'node:crypto'
import { type Act, forever } from './act.ts'

const MAX_ITERATIONS = 2 ** 31 - 1

/** Each keeps its process from doing anything else, in JavaScript or natively; the last keeps only itself. */
export const blocking = {
  spin: () => {
    for (;;);
  },
  'microtask-storm': async () => {
    for (;;) await Promise.resolve()
  },
  'regular-expression': () => /^(a+)+$/.test(`${'a'.repeat(60)}b`),
  'atomics-wait': () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  'exec-sleep': () => execSync('sleep 300'),
  pbkdf2: () => pbkdf2Sync('password', 'salt', MAX_ITERATIONS, 64, 'sha512'),
  'never-settles': forever,
} satisfies Record<string, Act>
