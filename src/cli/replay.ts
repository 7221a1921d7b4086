import type { Replayed } from '../domain/store.ts'
import type { OpsClient } from './ops-client.ts'
import { printable } from './table.ts'

/** Has one event run again: for one handler, or for all that want it. Gives what it is from now on. */
export const replayEvent = (ops: OpsClient, uid: string, handler: string | undefined): Promise<Replayed> =>
  ops.post(`/v1/events/${encodeURIComponent(uid)}/replay`, handler === undefined ? {} : { handler })

export const replayedLine = (uid: string, routing: Replayed): string =>
  routing.handlers.length > 0
    ? `${printable(uid)} runs again: ${printable(routing.handlers.join(', '))}\n`
    : `${printable(uid)} ${printable(nothingRuns(routing))}\n`

/** Of a replay after which no handler runs: why. */
export function nothingRuns({ status, reasons }: Replayed): string {
  if (status === 'accepted') return 'is pending or running already; nothing else runs'
  return `is ${status}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}; nothing runs`
}
