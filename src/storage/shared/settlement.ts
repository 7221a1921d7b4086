import type { DeliveryState, Settlement } from '../../domain/delivery.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { EndedTask } from '../../domain/task.ts'
import type { EndedTaskListeners } from './ended-tasks.ts'

/** The state of a delivery after an attempt. */
export const STATE_AFTER: Readonly<Record<Settlement['verdict'], DeliveryState>> = {
  succeeded: 'succeeded',
  dead: 'dead',
  retry: 'pending',
  released: 'pending',
}

/** Errors of attempts that the store itself ends. */
export const LEASE_LOST = 'what ran it went away before it ended'
export const NO_ATTEMPT_LEFT = 'no attempt is left'
export const BODY_CORRUPT = 'the stored body no longer matches its checksum'

/** `attempt.detail`: the error's details and the judgement that ended the attempt, in one JSON object. */
export function storedDetail({ detail, judgement }: Pick<Settlement, 'detail' | 'judgement'>): string | null {
  if (detail === undefined && judgement === undefined) return null
  return JSON.stringify({ ...detail, ...(judgement !== undefined && { judgement }) })
}

/** An event that took the id of one that was quarantined before its handlers. */
export interface Successor {
  readonly uid: string
  /** The uid of the quarantined one. */
  readonly of: string
  /** The task that the event ends, if no other event had ended it. */
  readonly ended?: EndedTask
}

/** Which settlements took effect, and which events took an id that a quarantined one gave up by them. */
export interface Settled {
  readonly took: readonly boolean[]
  readonly successors: readonly Successor[]
}

/** Called after the commit: notifies of the tasks that ended, logs the successors, and returns which settlements took effect. */
export function announceSettled(
  { took, successors }: Settled,
  endedTasks: EndedTaskListeners,
  onLog: StoreLog,
): readonly boolean[] {
  for (const { uid, of, ended } of successors) {
    if (ended !== undefined) endedTasks.notify(ended)
    onLog('info', `event ${uid}, which was in conflict with event ${of}, takes its id: that one is quarantined`)
  }
  return took
}
