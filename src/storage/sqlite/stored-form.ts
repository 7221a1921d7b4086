import type { Settlement, Work } from '../../domain/delivery.ts'
import type { Headers } from '../../domain/event.ts'
import { storedDetail } from '../records/settlement.ts'
import type { StoredSettlement, StoredWork } from './messages.ts'

/** What the store takes and gives, and the form in which it passes between threads. */

export const workOf = ({ event, ...work }: StoredWork): Work => ({
  ...work,
  event: { ...event, headers: JSON.parse(event.headers) as Headers },
})

/** Nothing is to run after it. */
export const isEnd = ({ verdict }: StoredSettlement): boolean => verdict === 'succeeded' || verdict === 'dead'

export function storedSettlement(given: Settlement): StoredSettlement {
  const { detail: _, judgement: __, ...settlement } = given
  return {
    ...settlement,
    detail: storedDetail(given),
    dueAtMs: Math.round(settlement.dueAtMs),
    startedAtMs: Math.round(settlement.startedAtMs),
    durationMs: Math.round(settlement.durationMs),
  }
}
