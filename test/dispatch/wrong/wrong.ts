import type { Router } from '../../../src/index.ts'

const nothing = (): void => {}

/** Registrations that are wrong, each in a way of its own, and one that is not. */
export default (router: Router): void => {
  router.on('half', { name: 'half', concurrency: 1.5 }, nothing)
  router.on('endless', { name: 'endless', concurrency: Number.POSITIVE_INFINITY }, nothing)
  router.on('text', { name: 'text', concurrency: '4' as never }, nothing)
  router.on('zero', { name: 'zero', concurrency: 0 }, nothing)
  router.on('unknown', { name: 'unknown', timeout: 5, retries: 3, colour: 'red' } as never, nothing)
  router.on('policy', { name: 'policy', timeoutMs: 0, retry: { maxAttempts: -1, base: 5 } as never }, nothing)
  router.on('rate', { name: 'rate', rate: { limit: 2.5 } as never, retry: { baseMs: 20, capMs: 10 } }, nothing)
  router.on('sound', { name: 'sound', concurrency: 1 }, nothing)
}
