import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/store.ts'
import type { AppendResult } from '../records/append-queue.ts'
import type { Connections } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import { type Contender, takeId } from './successor.ts'

/** Who gives the id up has locked it: waits for that one, and holds off who comes next. */
const HOLDER = {
  name: 'holder',
  text: `
    SELECT FROM event AS x JOIN event_key AS k ON k.source = x.source AND k.id = x.id AND k.variant = ''
    WHERE x.uid = $1 FOR KEY SHARE OF k
  `,
}
const CONTENDER = { name: 'contender', text: 'SELECT key, uid, status FROM event WHERE uid = $1 FOR UPDATE' }

/**
 * The event in conflict with which another was kept may have given its id up at the same time, neither seeing the other: an
 * event that is in conflict with none any more takes the id. Before it is acknowledged, so that its sender sends it again
 * where this is cut off.
 */
export function createContest(connections: Connections, clock: DatabaseClock) {
  return async (conflict: Conflict, event: NewEvent): Promise<AppendResult> => {
    const { uid } = conflict
    const taken = await connections.transaction(async (query) => {
      const [holder] = await query(HOLDER, [uid])
      if (holder !== undefined) return undefined
      const [contender] = await query<Contender>(CONTENDER, [uid])
      if (contender === undefined) return undefined
      return takeId(query, clock, contender, { routing: event, byBody: event.dedupe === 'body' })
    }, 'append')
    if (taken === undefined) return conflict
    const { status, ended } = taken
    const outcome = uid !== event.uid ? 'duplicate' : status === 'superseded' ? status : 'accepted'
    return { outcome, uid, ...(ended !== undefined && { ended }) }
  }
}

export type Conflict = Receipt & { readonly outcome: 'conflict' }

export const isConflict = (result: AppendResult): result is Conflict =>
  'outcome' in result && result.outcome === 'conflict'
