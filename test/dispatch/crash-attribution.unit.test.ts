import { expect, test } from 'vitest'
import type { InFlightAttempt, PoolAttempt } from '../../src/dispatch/pool/attempts.ts'
import { attributeCrash } from '../../src/dispatch/pool/crash-attribution.ts'

const run = (uid: string, sharing: PoolAttempt['sharing'] = 'many', handler = uid): PoolAttempt =>
  ({ work: { event: { uid }, handler }, sharing, resolve: () => {} }) as unknown as PoolAttempt
const started = (each: PoolAttempt): InFlightAttempt => ({ attempt: each, sentAtMs: 0, sinceMs: 0, untilMs: 0 })
/** The attempt that started last is the suspect, unless the process has answered since. */
function lost(
  attempts: readonly PoolAttempt[],
  notStarted: readonly PoolAttempt[] = [],
  overdue = 0,
  hasAnswered = false,
  answered = 0,
) {
  const all = attempts.map(started)
  return attributeCrash({
    reason: '',
    stack: [],
    started: all,
    notStarted,
    suspect: hasAnswered ? undefined : all.at(-1),
    overdue,
    answered,
  })
}
const rerun = ({ rerun: attempts }: ReturnType<typeof attributeCrash>) =>
  Object.fromEntries(attempts.map(({ work, sharing }) => [work.event.uid, sharing]))

test('an attempt that was alone in a lost process is the culprit', () => {
  const alone = run('a')
  expect(lost([alone])).toMatchObject({ culprit: { attempt: alone }, rerun: [], suspectHandler: 'a' })
})

test('the last of several started attempts of a lost process runs alone and the others share with few, and none is the culprit yet', () => {
  const found = lost([run('a'), run('b'), run('c')])
  expect(found.culprit).toBeUndefined()
  expect(rerun(found)).toEqual({ a: 'few', b: 'few', c: 'alone' })
  expect(found.suspectHandler).toBe('c')
})

test('an attempt that was lost twice runs alone', () => {
  expect(rerun(lost([run('a', 'few'), run('b', 'few')]))).toEqual({ a: 'alone', b: 'alone' })
})

test('attempts of a lost process that had not started keep their sharing, whatever ended the process', () => {
  expect(rerun(lost([run('a')], [run('b')]))).toEqual({ b: 'many' })
  expect(rerun(lost([], [run('a'), run('b')]))).toEqual({ a: 'many', b: 'many' })
})

test('an attempt beside an overdue handler is not the culprit yet', () => {
  const found = lost([run('a')], [], 1)
  expect(found.culprit).toBeUndefined()
  expect(rerun(found)).toEqual({ a: 'alone' })
})

test('all attempts of a lost process are suspected alike if the process has answered since the last of them started', () => {
  const found = lost([run('a'), run('b')], [], 0, true)
  expect(found.suspectHandler).toBeUndefined()
  expect(rerun(found)).toEqual({ a: 'few', b: 'few' })
})

test('an attempt alone in a process that has run others before is not the culprit yet, since they may have left something behind', () => {
  const found = lost([run('a')], [], 0, false, 1)
  expect(found.culprit).toBeUndefined()
  expect(rerun(found)).toEqual({ a: 'alone' })
})

test('a handler is the suspect when all attempts of a lost process are its own and suspected alike, unless others have run in the process before', () => {
  const attempts = [run('a', 'few', 'orders'), run('b', 'few', 'orders')]
  expect(lost(attempts, [], 0, true).suspectHandler).toBe('orders')
  expect(lost(attempts, [], 0, true, 1).suspectHandler).toBeUndefined()
  expect(lost(attempts, [], 1, true).suspectHandler).toBeUndefined()
})
