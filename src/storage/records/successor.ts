import type { StoreLog } from '../../domain/store.ts'
import type { EndedTask } from '../../domain/task.ts'
import type { Endings } from './endings.ts'

/** An event that took the id of one that was quarantined before its handlers. */
export interface Successor {
  readonly uid: string
  /** The uid of the quarantined one. */
  readonly of: string
  /** The task whose end it tells, where none had told it. */
  readonly ended?: EndedTask
}

/** Which settlements took effect, and which events run since others gave their ids up by them. */
export interface Settled {
  readonly took: readonly boolean[]
  readonly successors: readonly Successor[]
}

/** Once it is committed. */
export function settledAs({ took, successors }: Settled, endings: Endings, onLog: StoreLog): readonly boolean[] {
  for (const { uid, of, ended } of successors) {
    if (ended !== undefined) endings.tell(ended)
    onLog('info', `event ${uid}, which was in conflict with event ${of}, takes its id: that one is quarantined`)
  }
  return took
}
