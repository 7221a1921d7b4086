import type { InFlight, Loss, Run } from './run.ts'

/** What becomes of the attempts that were lost with a process. */
export interface Triage {
  /** It ended the process: nothing else has ever run in it. Its attempt counts. */
  readonly guilty: InFlight | undefined
  /** Nothing of them has counted yet: they run again at once, in the company that they may have. */
  readonly again: readonly Run[]
  /** The handler whose doing it most likely was. */
  readonly accused: string | undefined
}

/**
 * Tells the guilty from those that merely shared the process. What had not begun is none of either. What began last is the
 * first suspect, for what blocks or ends a process mostly does so at once, unless the process has answered since: it runs alone.
 * The others run with few, and alone if they are lost again; only alone it counts.
 */
export function triage({ begun, notBegun, suspect, overdue, answered }: Loss): Triage {
  const isNew = overdue + answered === 0
  const [first, ...others] = begun
  if (first !== undefined && others.length === 0 && isNew)
    return { guilty: first, again: notBegun, accused: first.run.work.handler }
  const again = begun.map((inFlight) => withLess(inFlight.run, inFlight === suspect))
  const only = isNew ? onlyHandlerOf(begun) : undefined
  return { guilty: undefined, again: [...notBegun, ...again], accused: suspect?.run.work.handler ?? only }
}

/** The one handler that they all are of. */
function onlyHandlerOf(begun: readonly InFlight[]): string | undefined {
  const [name, ...others] = new Set(begun.map(({ run }) => run.work.handler))
  return others.length === 0 ? name : undefined
}

const withLess = (run: Run, isSuspect: boolean): Run => ({
  ...run,
  company: isSuspect || run.company !== 'many' ? 'none' : 'few',
})
