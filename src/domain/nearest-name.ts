import { distance } from 'fastest-levenshtein'

/** How many letters of a name may be wrong: this part of them, and at least `MIN_WRONG`. */
const WRONG_PART = 1 / 3
const MIN_WRONG = 2

/** The known name that a misspelt one most likely stands for; undefined if none is near. Case counts for nothing. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const most = Math.max(MIN_WRONG, Math.ceil(name.length * WRONG_PART))
  const [nearest] = known
    .map((each) => ({ each, wrong: distance(name.toLowerCase(), each.toLowerCase()) }))
    .filter(({ each, wrong }) => wrong <= most && wrong < each.length)
    .toSorted((one, other) => one.wrong - other.wrong)
  return nearest?.each
}

/** How many letters are wrong, missing or too many; two neighbours in the wrong order count as one. */
export function editsBetween(one: string, other: string): number {
  const edits = distance(one, other)
  return edits === 2 && isSwapped(one, other) ? 1 : edits
}

function isSwapped(one: string, other: string): boolean {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  return `${one.slice(0, at)}${one[at + 1]}${one[at]}${one.slice(at + 2)}` === other
}
