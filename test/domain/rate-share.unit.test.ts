import { expect, test } from 'vitest'
import { rateShareOf } from '../../src/domain/rate-share.ts'

const worker = (uid: string, ...names: readonly string[]) => ({
  uid,
  handlers: names.map((name) => ({ name, types: ['*'] })),
})

test('the workers that have a handler share its rate in order of their start', () => {
  const workers = [worker('1', 'a'), worker('2', 'b'), worker('3', 'a', 'b')]
  expect(rateShareOf('1', 'a', workers)).toEqual({ place: 0, count: 2 })
  expect(rateShareOf('3', 'a', workers)).toEqual({ place: 1, count: 2 })
  expect(rateShareOf('2', 'b', workers)).toEqual({ place: 0, count: 2 })
})

test('a worker that the others do not know, or whose new handler they do not know, takes a share beside theirs', () => {
  expect(rateShareOf('9', 'a', [])).toEqual({ place: 0, count: 1 })
  expect(rateShareOf('9', 'a', [worker('1', 'a'), worker('2', 'a')])).toEqual({ place: 2, count: 3 })
  expect(rateShareOf('1', 'a', [worker('1'), worker('2', 'a')])).toEqual({ place: 0, count: 2 })
})
