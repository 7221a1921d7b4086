import { execSync, spawn } from 'node:child_process'
import { appendFileSync, writeFileSync, writeSync } from 'node:fs'
import { inspect } from 'node:util'
import { parentPort } from 'node:worker_threads'
import type { Router } from '../../../src/index.ts'

const forever = new Promise<never>(() => {})
const hoard: unknown[] = []

class Unshowable {
  [inspect.custom](): never {
    throw new Error('not even this')
  }
}

/** Handlers that do all that a handler should not, and some that behave. */
export default (router: Router): void => {
  addWaiting(router)
  addDeadly(router)
  addThrowing(router)
  addRetrying(router)
}

/** Those that take long, or do something on the side. */
function addWaiting(router: Router): void {
  router.on('ok', { name: 'ok' }, (event) => event.data)
  router.on('wait', { name: 'wait' }, async (event) => {
    const tell = (word: string): void => {
      if (typeof event.data.file === 'string') appendFileSync(event.data.file, `${word}\n`)
    }
    tell('begins')
    await new Promise((resolve) => setTimeout(resolve, Number(event.data.ms)))
    if (event.data.thenLoops === true) tell('loops')
    while (event.data.thenLoops === true);
  })
  router.on('block', { name: 'block' }, (event) => {
    const until = Date.now() + Number(event.data.ms)
    while (Date.now() < until);
  })
  router.on('mark', { name: 'mark' }, (event) => appendFileSync(String(event.data.file), 'mark\n'))
  router.on('heed', { name: 'heed' }, (_, { signal }) => {
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  router.on('hang', { name: 'hang' }, () => forever)
  router.on('raw', { name: 'raw' }, (event) => {
    if (event.raw().toString() !== '{"type":"raw", "n":1.0}') throw new Error(event.raw().toString())
  })
  router.on('offspring', { name: 'offspring' }, (event) => {
    const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' })
    child.unref()
    writeFileSync(String(event.data.file), String(child.pid))
  })
}

/** Those that take their process, or all of its time or memory. */
function addDeadly(router: Router): void {
  router.on('loop', { name: 'loop' }, () => {
    for (;;);
  })
  router.on('exit', { name: 'exit' }, () => process.exit(3))
  router.on('abort', { name: 'abort' }, () => process.abort())
  router.on('last-word', { name: 'last-word' }, () => {
    setImmediate(() => setImmediate(() => setImmediate(() => process.exit(3))))
  })
  router.on('sleep', { name: 'sleep' }, () => {
    execSync('sleep 300')
  })
  router.on('hoard', { name: 'hoard' }, () => {
    for (;;) hoard.push(Array.from({ length: 100_000 }, () => ({})))
  })
  router.on('buffers', { name: 'buffers' }, async () => {
    for (;;) {
      hoard.push(Buffer.alloc(16 * 1024 * 1024, 1))
      await new Promise(setImmediate)
    }
  })
  router.on('grow-later', { name: 'grow-later' }, () => {
    setInterval(() => hoard.push(Buffer.alloc(8 * 1024 * 1024, 1)), 40)
  })
  router.on('garbage', { name: 'garbage' }, () => {
    for (const descriptor of [3, 4]) writeSync(descriptor, 'this is no message of ours')
    return forever
  })
}

/** Those that fail, also where the run cannot catch it. */
function addThrowing(router: Router): void {
  router.on('throw', { name: 'throw' }, () => {
    throw new RangeError('too far')
  })
  router.on('unshowable', { name: 'unshowable' }, () => {
    throw new Unshowable()
  })
  router.on('fail', { name: 'fail' }, (_, context) => {
    try {
      context.fail('no such customer')
    } catch {
      // Swallowed: what was said stands.
    }
  })
  router.on('float', { name: 'float' }, () => {
    void Promise.reject(new Error('a rejection without a handler'))
  })
  router.on('float-late', { name: 'float-late' }, async () => {
    setTimeout(() => {
      throw new Error('thrown from a timer')
    }, 5)
    await new Promise((resolve) => setTimeout(resolve, 50))
  })
  router.on('chatter', { name: 'chatter' }, async () => {
    parentPort?.postMessage('not a word of ours')
    parentPort?.postMessage({ kind: 'results', results: [{ key: 0, result: { outcome: 'succeeded' } }] })
    parentPort?.close()
    throw new Error('as it really ended')
  })
}

/** Those that ask for another attempt. */
function addRetrying(router: Router): void {
  router.on('later', { name: 'later' }, (_, context) => context.retryAfter(1234))
  router.on('after', { name: 'after' }, (event, context) => context.retryAfter(event.data.ms as number))
  router.on('endless', { name: 'endless' }, (_, context) => context.retryAfter(Number.POSITIVE_INFINITY))
  router.on('no-number', { name: 'no-number' }, (_, context) => context.retryAfter(Number.NaN))
}
