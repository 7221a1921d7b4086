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

describe('the handlers of all replicas', () => {
  test('are those of every running process, and the process that started last decides what a handler accepts', () => {
    const known = [replica('two', 2, ['a', 'c']), replica('one', 1, ['a', 'b'])]
    expect(counting(...known)).toEqual(['one', 'two'])
    expect(handlersOfReplicas(countingReplicas(known, NOW_MS))).toEqual([
      { name: 'a', types: ['a.two'] },
      { name: 'b', types: ['b.one'] },
      { name: 'c', types: ['c.two'] },
    ])
  })

  test('stay known when all processes that run them are gone, for any time', () => {
    expect(counting(replica('one', 1, ['a'], 2), replica('two', 3, ['b'], 4))).toEqual(['one', 'two'])
  })

  test('stay known when the only worker of its kind is gone', () => {
    expect(counting(replica('gone', 1, ['a'], NOW_MS - 1), replica('there', 2, ['b']))).toEqual(['gone', 'there'])
  })

  test('are forgotten if a later process that shares a handler has replaced their process', () => {
    expect(counting(replica('old', 1, ['a', 'dropped'], NOW_MS - 1), replica('new', 2, ['a']))).toEqual(['new'])
    expect(counting(replica('old', 1, ['a', 'dropped'], 2), replica('new', 3, ['a'], 4))).toEqual(['new'])
  })

  test('are those of the former release again after it is deployed again', () => {
    const known = [
      replica('new', 2, ['a', 'added'], NOW_MS - 1),
      replica('old', 1, ['a'], 1),
      replica('back', 3, ['a']),
    ]
    expect(counting(...known)).toEqual(['back'])
  })

  test('stay known when one of two equal workers has crashed', () => {
    expect(counting(replica('one', 1, ['a']), replica('two', 2, ['a'], NOW_MS - 1))).toEqual(['one', 'two'])
  })

  test('are forgotten after a week if other processes run and none has replaced their process', () => {
    const gone = (ms: number) => replica('gone', 1, ['a'], NOW_MS - ms)
    expect(counting(gone(REPLICA_MEMORY_MS - 1), replica('there', 2, ['b']))).toContain('gone')
    expect(counting(gone(REPLICA_MEMORY_MS), replica('there', 2, ['b']))).not.toContain('gone')
  })

  test('may be an empty list, because a worker without handlers counts too', () => {
    expect(counting(replica('empty', 1, []))).toEqual(['empty'])
    expect(handlersOfReplicas([replica('empty', 1, [])])).toEqual([])
  })
})
