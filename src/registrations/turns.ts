import { HoldfastError } from '../domain/errors.ts'

/** Pieces of work that wait for one key, the running one included; more are refused as `unavailable`. */
const MAX_IN_TURN = 16

/** Runs work of the same key one after the other, in the order it came, whatever becomes of the one before. */
export type InTurn = <Result>(key: string, work: () => Promise<Result>) => Promise<Result>

export function takeTurns(): InTurn {
  const lines = new Map<string, { last: Promise<unknown>; length: number }>()
  return async (key, work) => {
    const line = lines.get(key) ?? { last: Promise.resolve(), length: 0 }
    if (line.length >= MAX_IN_TURN) throw new HoldfastError('unavailable', `too much is under way for ${key}`)
    lines.set(key, line)
    line.length++
    const turn = line.last.then(work)
    line.last = turn.catch(() => {})
    try {
      return await turn
    } finally {
      if (--line.length === 0) lines.delete(key)
    }
  }
}
