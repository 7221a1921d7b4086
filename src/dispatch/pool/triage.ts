import type { InFlight, Loss, Run } from './run.ts'

/** What becomes of the attempts that were lost with a process. */
export interface Triage {
  /** It ended the process: nothing else ran in it. Its attempt counts. */
  readonly guilty: InFlight | undefined
  /** Nothing of them has counted yet: they run again at once, in the company that they may have. */
  readonly again: readonly Run[]
  /** Whose doing it most likely was. */
  readonly suspected: InFlight | undefined
}

/**
 * Tells the guilty from those that merely shared the process. What had not begun is none of either. Whatever began last is the
 * first suspect, for what blocks or ends a process mostly does so at once: it runs alone. The others run with few, and alone
 * if they are lost again; only alone it counts.
 */
export function triage({ begun, notBegun, overdue }: Loss): Triage {
  const last = begun.at(-1)
  if (last !== undefined && begun.length === 1 && overdue === 0)
    return { guilty: last, again: notBegun, suspected: last }
  const again = begun.map((inFlight) => withLess(inFlight.run, inFlight === last))
  return { guilty: undefined, again: [...notBegun, ...again], suspected: last }
}

const withLess = (run: Run, isLast: boolean): Run => ({
  ...run,
  company: isLast || run.company !== 'many' ? 'none' : 'few',
})
