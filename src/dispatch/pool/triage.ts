import type { InFlight, Loss, Run } from './run.ts'

/** What becomes of the attempts that were lost with a process. */
export interface Triage {
  /** It ended the process: nothing else has ever run in it. Its attempt counts. */
  readonly guilty: InFlight | undefined
  /** Nothing of them has counted yet: they run again at once, in the company that they may have. */
  readonly again: readonly Run[]
  /** Whose doing it most likely was. */
  readonly suspected: InFlight | undefined
}

/**
 * Tells the guilty from those that merely shared the process. What had not begun is none of either. What began last is the
 * first suspect, for what blocks or ends a process mostly does so at once, unless the process has answered since: it runs alone. The others run with few, and alone
 * if they are lost again; only alone it counts.
 */
export function triage({ begun, notBegun, suspect, overdue, answered }: Loss): Triage {
  const [only, ...others] = begun
  if (only !== undefined && others.length === 0 && overdue === 0 && answered === 0)
    return { guilty: only, again: notBegun, suspected: only }
  const again = begun.map((inFlight) => withLess(inFlight.run, inFlight === suspect))
  return { guilty: undefined, again: [...notBegun, ...again], suspected: suspect }
}

const withLess = (run: Run, isSuspect: boolean): Run => ({
  ...run,
  company: isSuspect || run.company !== 'many' ? 'none' : 'few',
})
