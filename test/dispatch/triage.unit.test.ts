import { expect, test } from 'vitest'
import type { InFlight, Run } from '../../src/dispatch/pool/run.ts'
import { triage } from '../../src/dispatch/pool/triage.ts'

const run = (uid: string, company: Run['company'] = 'many', handler = uid): Run =>
  ({ work: { event: { uid }, handler }, company, resolve: () => {} }) as unknown as Run
const begun = (each: Run): InFlight => ({ run: each, sentAtMs: 0, sinceMs: 0, untilMs: 0 })
/** Of what had begun the last is the suspect, unless the process has answered since. */
function lost(attempts: readonly Run[], notBegun: readonly Run[] = [], overdue = 0, hasAnswered = false, answered = 0) {
  const all = attempts.map(begun)
  return triage({
    fault: '',
    stack: [],
    begun: all,
    notBegun,
    suspect: hasAnswered ? undefined : all.at(-1),
    overdue,
    answered,
  })
}
const again = ({ again: runs }: ReturnType<typeof triage>) =>
  Object.fromEntries(runs.map(({ work, company }) => [work.event.uid, company]))

test('an attempt that was alone in its process is guilty', () => {
  const alone = run('a')
  expect(lost([alone])).toMatchObject({ guilty: { run: alone }, again: [], accused: 'a' })
})

test('of several that began, the last runs alone and the others with few, and none is guilty yet', () => {
  const found = lost([run('a'), run('b'), run('c')])
  expect(found.guilty).toBeUndefined()
  expect(again(found)).toEqual({ a: 'few', b: 'few', c: 'none' })
  expect(found.accused).toBe('c')
})

test('what was lost twice runs alone', () => {
  expect(again(lost([run('a', 'few'), run('b', 'few')]))).toEqual({ a: 'none', b: 'none' })
})

test('what had not begun runs on as before, whatever became of the process', () => {
  expect(again(lost([run('a')], [run('b')]))).toEqual({ b: 'many' })
  expect(again(lost([], [run('a'), run('b')]))).toEqual({ a: 'many', b: 'many' })
})

test('beside a handler that has outlived its attempt nothing is alone', () => {
  const found = lost([run('a')], [], 1)
  expect(found.guilty).toBeUndefined()
  expect(again(found)).toEqual({ a: 'none' })
})

test('where the process has answered since the last began, none is suspected more than the others', () => {
  const found = lost([run('a'), run('b')], [], 0, true)
  expect(found.accused).toBeUndefined()
  expect(again(found)).toEqual({ a: 'few', b: 'few' })
})

test('what runs alone where others have run before is not guilty yet: they may have left something behind', () => {
  const found = lost([run('a')], [], 0, false, 1)
  expect(found.guilty).toBeUndefined()
  expect(again(found)).toEqual({ a: 'none' })
})

test('where none is suspected more than the others but all are of one handler, it is accused; not where others have run before', () => {
  const attempts = [run('a', 'few', 'orders'), run('b', 'few', 'orders')]
  expect(lost(attempts, [], 0, true).accused).toBe('orders')
  expect(lost(attempts, [], 0, true, 1).accused).toBeUndefined()
  expect(lost(attempts, [], 1, true).accused).toBeUndefined()
})
