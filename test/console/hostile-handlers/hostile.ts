import type { Router } from 'holdfast'
import { giveAnswer } from '../../../src/domain/answer.ts'
import { ALL_HOSTILE, HOSTILE_NAME } from '../hostile-text.ts'

/** Fails with an error whose every part is hostile, as one that repeats what a payload holds, after an answer that is. */
export default (router: Router): void => {
  router.on('*', { name: HOSTILE_NAME, retry: { maxAttempts: 1 } }, (_event, context) => {
    giveAnswer(context, {
      from: ALL_HOSTILE.slice(0, 300),
      status: 500,
      durationMs: 1,
      text: ALL_HOSTILE.slice(0, 1_000),
    })
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
