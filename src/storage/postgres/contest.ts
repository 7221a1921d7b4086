import type { Routing } from '../../pipeline/routes.ts'
import type { AppendResult, EventRow, Kept } from '../records/event-row.ts'
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
  return async (result: Kept, event: EventRow): Promise<Kept> => {
    const { uid } = result
    const taken = await connections.transaction(async (query) => {
      const [holder] = await query(HOLDER, [uid])
      if (holder !== undefined) return undefined
      const [contender] = await query<Contender>(CONTENDER, [uid])
      if (contender === undefined) return undefined
      return takeId(query, clock, contender, { routing: routingOf(event), byBody: event[22] === 1 })
    }, 'append')
    if (taken === undefined) return result
    const { status, ended } = taken
    const outcome = uid !== event[0] ? 'duplicate' : status === 'superseded' ? status : 'accepted'
    return { outcome, uid, ...(ended !== undefined && { ended }) }
  }
}

const routingOf = (event: EventRow): Routing => ({
  status: event[8],
  handlers: event[15],
  reasons: event[9] === null ? [] : (JSON.parse(event[9]) as string[]),
})

export const isConflict = (result: AppendResult): result is Kept =>
  typeof result === 'object' && result !== null && 'outcome' in result && result.outcome === 'conflict'
