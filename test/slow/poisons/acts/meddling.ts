import { execSync, spawn } from 'node:child_process'
import type { Act } from './act.ts'

const MESSAGES = 20_000
const SUCCEEDED = { outcome: 'succeeded', startedAtMs: 0, durationMs: 0 }

const broken = (): never => {
  throw new Error('meddled with')
}

const PROTOTYPES: readonly (readonly [object, readonly string[]])[] = [
  [Array.prototype, ['map', 'push', 'forEach']],
  [Map.prototype, ['get', 'set', 'delete']],
  [Set.prototype, ['add']],
  [String.prototype, ['slice']],
  [Promise.prototype, ['then']],
  [Object.prototype, ['toJSON']],
]

/** Each lays hands on what its process needs, or leaves something behind. */
export const meddling = {
  'send-misuse': () => {
    for (let n = 0; n < MESSAGES; n++) {
      process.send?.({ kind: 'results', results: [{ key: n, result: SUCCEEDED }], overdue: -1 })
      process.send?.(`garbage ${n} `.repeat(50))
    }
  },
  disconnect: () => process.disconnect?.(),
  'background-process': () => execSync('sleep 300 > /dev/null 2>&1 &'),
  // With the streams of its parent, which stay open as long as it lives.
  'detached-process': () => spawn('sleep', ['300'], { detached: true, stdio: 'inherit' }).unref(),
  'prototypes-changed': () => {
    for (const [prototype, methods] of PROTOTYPES) {
      for (const method of methods) Object.defineProperty(prototype, method, { value: broken, configurable: true })
    }
  },
  'globals-changed': () => {
    Object.assign(globalThis, {
      setTimeout: broken,
      clearTimeout: broken,
      setImmediate: broken,
      queueMicrotask: broken,
    })
    Object.assign(JSON, { parse: broken, stringify: broken })
    Object.assign(Object, { freeze: broken, keys: broken, entries: broken })
    Object.assign(Date, { now: () => Number.NaN })
    Object.assign(Buffer, { from: broken })
    Object.assign(performance, { now: () => Number.NaN })
  },
  'process-changed': () => {
    process.removeAllListeners()
    Object.assign(process, { exit: () => {}, on: broken, once: broken, emit: broken, nextTick: broken })
  },
} satisfies Record<string, Act>
