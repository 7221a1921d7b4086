import { describe, expect, test } from 'vitest'
import {
  countingReplicas,
  handlersOfReplicas,
  type KnownReplica,
  REPLICA_MEMORY_MS,
} from '../../src/domain/replica-registry.ts'

const NOW_MS = 1_000_000_000_000

const replica = (uid: string, startedAtMs: number, names: readonly string[], goneAtMs?: number): KnownReplica => ({
  uid,
  startedAtMs,
  goneAtMs,
  handlers: names.map((name) => ({ name, types: [`${name}.${uid}`] })),
})

const counting = (...known: readonly KnownReplica[]) => countingReplicas(known, NOW_MS).map(({ uid }) => uid)

describe('the handlers of a fleet', () => {
  test('are those of all that are there, the last start saying what a handler takes', () => {
    const known = [replica('two', 2, ['a', 'c']), replica('one', 1, ['a', 'b'])]
    expect(counting(...known)).toEqual(['one', 'two'])
    expect(handlersOfReplicas(countingReplicas(known, NOW_MS))).toEqual([
      { name: 'a', types: ['a.two'] },
      { name: 'b', types: ['b.one'] },
      { name: 'c', types: ['c.two'] },
    ])
  })

  test('stay known when all that run them are gone, however long', () => {
    expect(counting(replica('one', 1, ['a'], 2), replica('two', 3, ['b'], 4))).toEqual(['one', 'two'])
  })

  test('stay known when one of several kinds of worker is gone', () => {
    expect(counting(replica('gone', 1, ['a'], NOW_MS - 1), replica('there', 2, ['b']))).toEqual(['gone', 'there'])
  })

  test('are forgotten where a later one that shares a handler has taken its place', () => {
    expect(counting(replica('old', 1, ['a', 'dropped'], NOW_MS - 1), replica('new', 2, ['a']))).toEqual(['new'])
    expect(counting(replica('old', 1, ['a', 'dropped'], 2), replica('new', 3, ['a'], 4))).toEqual(['new'])
  })

  test('are those of the release before again when that is brought back', () => {
    const known = [
      replica('new', 2, ['a', 'added'], NOW_MS - 1),
      replica('old', 1, ['a'], 1),
      replica('back', 3, ['a']),
    ]
    expect(counting(...known)).toEqual(['back'])
  })

  test('of one that crashed beside its like are known by the other', () => {
    expect(counting(replica('one', 1, ['a']), replica('two', 2, ['a'], NOW_MS - 1))).toEqual(['one', 'two'])
  })

  test('are forgotten after a while if others are there and nobody took its place', () => {
    const gone = (ms: number) => replica('gone', 1, ['a'], NOW_MS - ms)
    expect(counting(gone(REPLICA_MEMORY_MS - 1), replica('there', 2, ['b']))).toContain('gone')
    expect(counting(gone(REPLICA_MEMORY_MS), replica('there', 2, ['b']))).not.toContain('gone')
  })

  test('may be none: a worker without handlers counts too', () => {
    expect(counting(replica('empty', 1, []))).toEqual(['empty'])
    expect(handlersOfReplicas([replica('empty', 1, [])])).toEqual([])
  })
})
