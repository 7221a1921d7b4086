import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { BesideEvent, EventStore } from '../../domain/event-store.ts'
import { byUid, lookBeside, type OwnRow } from '../shared/beside.ts'
import type { StoreThreads } from './store-threads.ts'

export interface FoundBeside {
  readonly events: readonly BesideEvent[]
  /** The event is in conflict about this id: only the writer thread knows every event that has an id. Absent: it is not. */
  readonly contested?: Pick<OwnRow, 'source' | 'id'>
}

/** `holder`: the uid of the event that has the id. Undefined: it is not known. */
export function prepareBeside(db: DatabaseSync): (uid: string, holder: string | undefined) => FoundBeside {
  const statements = new Map<string, StatementSync>()
  const prepared = (name: string, text: string): StatementSync => {
    const statement = statements.get(name) ?? db.prepare(text.replaceAll('$', '?'))
    statements.set(name, statement)
    return statement
  }

  return (uid, holder) => {
    let contested: FoundBeside['contested']
    const looks = lookBeside(uid, ({ source, id }) => {
      contested = { source, id }
      return holder === undefined ? undefined : byUid(holder)
    })
    for (let step = looks.next(); ; ) {
      if (step.done) return { events: step.value, ...(contested && { contested }) }
      const { name, text, values } = step.value
      step = looks.next(prepared(name, text).all(...values))
    }
  }
}

export const callBeside =
  (threads: StoreThreads): EventStore['beside'] =>
  async (uid) => {
    const { reads, writes } = threads
    const { events, contested } = await (threads.refusing() ?? reads.call('beside', uid, undefined))
    if (contested === undefined) return events
    const holder = await writes.call('holderOf', contested.source, contested.id)
    return holder === undefined ? events : (await reads.call('beside', uid, holder)).events
  }
