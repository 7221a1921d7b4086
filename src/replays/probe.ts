import type { Attempt } from '../domain/delivery.ts'
import type { EventDetail } from '../domain/event-store.ts'
import type { Probe } from '../domain/replay-jobs.ts'

/** How the probe of a job stands. `next`: its event did not run for the job, so that another one is tried. */
export type ProbeVerdict = { readonly kind: 'wait' | 'next' } | { readonly kind: 'ended'; readonly probe: Probe }

/** An attempt that did not end by its handler's own doing. */
const isUndecided = ({ outcome }: Attempt): boolean => outcome === 'released' || outcome === 'lease_lost'

/** Judges the probe by the first attempt that each handler made of its event for the job. */
export function judgeProbe(probe: Probe, event: EventDetail | undefined, jobId: string): ProbeVerdict {
  const deliveries = event?.deliveries.filter(({ handler }) => probe.handlers?.includes(handler) ?? false) ?? []
  const firsts = deliveries.map(({ history }) =>
    history.find((attempt) => attempt.replay === jobId && !isUndecided(attempt)),
  )
  const failed = firsts.find((attempt) => attempt !== undefined && attempt.outcome !== 'succeeded')
  if (failed !== undefined) {
    const { outcome, error } = failed
    return { kind: 'ended', probe: { ...probe, state: 'failed', outcome, ...(error !== undefined && { error }) } }
  }
  const isOpen = deliveries.some(
    ({ state }, at) => firsts[at] === undefined && (state === 'pending' || state === 'running'),
  )
  if (isOpen) return { kind: 'wait' }
  return firsts.some((attempt) => attempt !== undefined)
    ? { kind: 'ended', probe: { ...probe, state: 'succeeded', outcome: 'succeeded' } }
    : { kind: 'next' }
}
