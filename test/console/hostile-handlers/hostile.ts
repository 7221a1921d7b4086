import type { Router } from 'holdfast'
import { ALL_HOSTILE, HOSTILE_NAME } from '../hostile-text.ts'

/** Fails with an error whose every part is hostile, as one that repeats what a payload holds. */
export default (router: Router): void => {
  router.on('*', { name: HOSTILE_NAME, retry: { maxAttempts: 1 } }, () => {
    throw hostileError(Object.assign(new Error(ALL_HOSTILE), { code: ALL_HOSTILE, name: ALL_HOSTILE }))
  })
  router.on('*', { name: 'quiet', orderBy: 'data.<img src=x onerror=hit(5)>' }, () => {})
}

const hostileError = (cause: unknown): Error => {
  const error = new Error(ALL_HOSTILE, { cause })
  return Object.assign(error, {
    name: ALL_HOSTILE,
    code: ALL_HOSTILE,
    stack: `${ALL_HOSTILE}\n    at ${ALL_HOSTILE} (/srv/${ALL_HOSTILE}:1:2)\n    at <img src=x onerror=hit(6)> (file:///<script>hit(7)</script>:3:4)`,
  })
}
