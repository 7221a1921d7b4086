/**
 * Bounds the time that a check by a user's schema may take on the thread that answers providers. Compiled schemas count their work
 * in steps (`charge`). A check that takes too long is aborted, and the handler's process checks the event instead.
 */

/** Steps before the first look at the clock: a check that costs less always completes here, also on a busy machine. */
const FREE_STEPS = 20_000
const STEPS_BETWEEN_LOOKS = 5_000
/** The longest that a step takes, also in code that is not optimized yet. */
const STEP_MS = 0.000_1
/** For all checks of one event together. */
const MAX_CHECK_MS = 5
/** Bytes of the longest body whose objects' keys may be listed: in a longer body an object may have so many keys that listing them takes too long. */
const MAX_LISTED_BYTES = 262_144
/** Steps to list one key of an object. */
const STEPS_PER_KEY = 2
/** For each branch that fails, Ajv builds the path of the value again. So a step costs 1 more per this many characters of a key. */
const KEY_CHARACTERS_PER_COST = 256
/** A step also costs 1 more per this many characters that the path has to escape. */
const ESCAPED = ['~', '/']
const ESCAPES_PER_COST = 4
const MAX_COUNTED_ESCAPES = 256

class OverBudget extends Error {
  override readonly name = 'OverBudget'
}
const OVER_BUDGET = new OverBudget('the check takes too long here')

/** Steps until the next look at the clock; infinite while no budget is open. */
let left = Number.POSITIVE_INFINITY
let startedAt = 0
let mayListKeys = true
/** The cost of a step: 1, or more once a long key has made paths expensive. */
let stepCost = 1

/** Charges steps before their work begins. Throws if a budget is open and they would exceed it. */
export function charge(steps: number): void {
  left -= steps * stepCost
  if (left < 0) renew(steps * stepCost)
}

function renew(steps: number): void {
  if (performance.now() - startedAt + steps * STEP_MS > MAX_CHECK_MS) throw OVER_BUDGET
  left = STEPS_BETWEEN_LOOKS
}

/** Throws if a budget is open: for work without a bound. */
export function chargeUnbounded(): void {
  if (left !== Number.POSITIVE_INFINITY) throw OVER_BUDGET
}

/** Charges for listing the keys of an object `times` times. */
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

/** Counts up to `MAX_COUNTED_ESCAPES`. */
function occurrences(text: string, character: string): number {
  let found = 0
  for (let at = text.indexOf(character); at >= 0 && found < MAX_COUNTED_ESCAPES; at = text.indexOf(character, at + 1))
    found++
  return found
}

/** Charges for comparing a value `times` times with others, key by key, at every depth. */
export function chargeComparing(value: unknown, times: number): void {
  if (left === Number.POSITIVE_INFINITY || typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) chargeKeys(value, times)
  for (const inner of Object.values(value)) chargeComparing(inner, times)
}

/** Runs one check. Undefined: the check was aborted, or the budget was used up before. */
type Budget = <Result>(check: () => Result) => Result | undefined

/** Opens a budget for all checks of one event. They run one after the other, without `await`. */
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
      // A schema that refers to itself without end overflows the stack before it uses up the budget.
      if (!(error instanceof OverBudget) && !(error instanceof RangeError)) throw error
      left = -1
      return undefined
    } finally {
      remaining = left
      left = Number.POSITIVE_INFINITY
    }
  }
}
