/**
 * What a check of a value by a user's schema may take on the thread that answers providers. Schemas count their work in steps
 * as they go (`charge`); one that goes on for too long is broken off, and the event is checked in its handler's process instead.
 */

/** Steps that are taken without a look at the clock: what costs less is always decided at once, on a busy machine too. */
const FREE_STEPS = 20_000
const STEPS_BETWEEN_LOOKS = 5_000
/** What a step takes at the worst, warm or not. */
const STEP_MS = 0.000_1
/** For all checks of one event together. */
const MAX_CHECK_MS = 5
/** Bytes of a body past which its objects may have so many keys that even listing them takes too long. */
const MAX_LISTED_BYTES = 262_144
/** Steps that listing the keys of an object takes for each. */
const STEPS_PER_KEY = 2
/** Ajv writes the path to a place anew for each branch that fails there; a step costs once more for each so many of a key's characters, */
const KEY_CHARACTERS_PER_COST = 256
/** and of those that a path has in another form. */
const ESCAPED = ['~', '/']
const ESCAPES_PER_COST = 4
const MAX_COUNTED_ESCAPES = 256

class OverBudget extends Error {
  override readonly name = 'OverBudget'
}
const OVER_BUDGET = new OverBudget('the check takes too long here')

/** Infinite where nothing is bounded. */
let left = Number.POSITIVE_INFINITY
let startedAt = 0
let mayListKeys = true
/** What a step counts for: 1 until there are keys that make paths dear. */
let stepCost = 1

/** Counts work that is about to be done, all that is known of it at once. Throws where a budget is open that it would overrun. */
export function charge(steps: number): void {
  left -= steps * stepCost
  if (left < 0) renew(steps * stepCost)
}

function renew(steps: number): void {
  if (performance.now() - startedAt + steps * STEP_MS > MAX_CHECK_MS) throw OVER_BUDGET
  left = STEPS_BETWEEN_LOOKS
}

/** Throws where any budget is open: for work whose end nothing bounds. */
export function chargeUnbounded(): void {
  if (left !== Number.POSITIVE_INFINITY) throw OVER_BUDGET
}

/** Counts that the keys of an object are about to be listed so often. */
export function chargeKeys(object: object, times = 1): void {
  if (left === Number.POSITIVE_INFINITY) return
  if (!mayListKeys) throw OVER_BUDGET
  let keys = 0
  for (const key in object) {
    keys++
    charge(STEPS_PER_KEY)
    stepCost = Math.max(stepCost, costOf(key))
  }
  charge(keys * STEPS_PER_KEY * times)
}

function costOf(key: string): number {
  const escapes = ESCAPED.reduce((sum, character) => sum + occurrences(key, character), 0)
  const byEscapes = escapes < MAX_COUNTED_ESCAPES ? escapes / ESCAPES_PER_COST : key.length
  return 1 + Math.floor(key.length / KEY_CHARACTERS_PER_COST) + Math.floor(byEscapes)
}

/** No further than is told apart. */
function occurrences(text: string, character: string): number {
  let found = 0
  for (let at = text.indexOf(character); at >= 0 && found < MAX_COUNTED_ESCAPES; at = text.indexOf(character, at + 1))
    found++
  return found
}

/** Counts that a value is compared so often with others, key by key, as deep as it goes. */
export function chargeComparing(value: unknown, times: number): void {
  if (left === Number.POSITIVE_INFINITY || typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) chargeKeys(value, times)
  for (const inner of Object.values(value)) chargeComparing(inner, times)
}

/** Runs one check; undefined: it was broken off, or the budget was used up before. */
export type Budget = <Result>(check: () => Result) => Result | undefined

/** A budget for the checks of one event, whose body has so many bytes: one after the other and without `await`. */
export function openBudget(bodyBytes: number): Budget {
  startedAt = performance.now()
  let remaining = FREE_STEPS
  return (check) => {
    if (remaining < 0) return undefined
    left = remaining
    stepCost = 1
    mayListKeys = bodyBytes <= MAX_LISTED_BYTES
    try {
      return check()
    } catch (error) {
      // A schema that leads back to itself without end fills the stack first.
      if (!(error instanceof OverBudget) && !(error instanceof RangeError)) throw error
      left = -1
      return undefined
    } finally {
      remaining = left
      left = Number.POSITIVE_INFINITY
    }
  }
}
