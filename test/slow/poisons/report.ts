import type { Outcome } from './innocents.ts'
import type { PoisonedService } from './poisoned-service.ts'

export interface Observed {
  readonly what: string
  readonly service: PoisonedService
  readonly slowestAckMs: number
  /** What of that the sender itself may have been late by. */
  readonly heldUpMs: number
  readonly innocents: Outcome
  /** States of the poisons' deliveries, each with how many are in it. */
  readonly ends: string
  readonly errors: readonly string[]
  readonly remaining: readonly string[]
}

export const HEAD = `
| poison | its deliveries | slowest ack ms (sender late) | innocents | slowest ms | median ms | charged | peak MiB (processes) | left behind | the operator reads |
|---|---|--:|--:|--:|--:|--:|--:|--:|---|`

export function rowOf({ what, service, slowestAckMs, heldUpMs, innocents, ends, errors, remaining }: Observed): string {
  const { residentMiB, processes } = service.watch.peak
  const cells = [
    what,
    ends,
    `${slowestAckMs.toFixed(0)} (${heldUpMs.toFixed(0)})`,
    `${innocents.succeeded} of ${innocents.acked}`,
    innocents.slowestMs.toFixed(0),
    innocents.medianMs.toFixed(0),
    String(innocents.chargedAttempts),
    `${residentMiB.toFixed(0)} (${processes})`,
    remaining.length === 0 ? '–' : remaining.join(' '),
    [...new Set([...errors, ...warningsOf(service)])].map(short).join('; '),
  ]
  return `| ${cells.join(' | ')} |`
}

const MAX_LENGTH = 90

const short = (text: string): string => text.slice(0, MAX_LENGTH).replaceAll(/[|\n]/g, ' ')

const WARN = 40
/** Kinds of warnings shown. */
const MAX_KINDS = 6

const warningsOf = ({ logs }: PoisonedService): string[] =>
  [...new Set(logs.filter(({ level }) => Number(level) >= WARN).map(({ msg }) => `log: ${msg}`))].slice(0, MAX_KINDS)

/** How many there are of each, most first. */
export function tally(words: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([word, count]) => `${count} ${word}`)
    .join(', ')
}

/** Whether some warning says so, its error included. */
export const warns = ({ logs }: PoisonedService, pattern: RegExp): boolean =>
  logs.some((line) => Number(line.level) >= WARN && pattern.test(JSON.stringify(line)))

/** Whether any line at all says so. */
export const says = ({ logs }: PoisonedService, pattern: RegExp): boolean =>
  logs.some(({ msg }) => pattern.test(String(msg)))
