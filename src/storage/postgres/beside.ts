import type { BesideEvent } from '../../domain/event-store.ts'
import { type Look, lookBeside, type OwnRow } from '../shared/beside.ts'
import { STORED_COLUMNS } from '../shared/events.ts'
import type { Connections } from './connections.ts'
import { escapeText, isUuid } from './escape-text.ts'

const HOLDER = `
  SELECT ${STORED_COLUMNS} FROM event_key AS k JOIN event ON event.key = k.event
  WHERE k.source = $1 AND k.id = $2 AND k.variant = ''
`
const holderOf = ({ source, id }: OwnRow): Look => ({ name: 'beside-holder', text: HOLDER, values: [source, id] })

export function createBeside(connections: Connections) {
  return async (uid: string): Promise<readonly BesideEvent[]> => {
    if (!isUuid(uid)) return []
    const looks = lookBeside(uid, holderOf)
    for (let step = looks.next(); ; ) {
      if (step.done) return step.value
      const { name, text, values } = step.value
      const escaped = values.map((value) => (typeof value === 'string' ? escapeText(value) : value))
      step = looks.next(await connections.run('read', { name, text }, escaped))
    }
  }
}
