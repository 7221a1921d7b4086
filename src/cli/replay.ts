import type { Replayed } from '../domain/store.ts'
import type { OpsClient } from './ops-client.ts'
import { printable } from './table.ts'

/** Has one event run again: for one handler, or for all that want it. Gives what it is from now on. */
export const replayEvent = (ops: OpsClient, uid: string, handler: string | undefined): Promise<Replayed> =>
  ops.post(`/v1/events/${encodeURIComponent(uid)}/replay`, handler === undefined ? {} : { handler })

export function replayedLine(uid: string, { status, handlers, reasons }: Replayed): string {
  if (handlers.length > 0) return `${printable(uid)} runs again: ${printable(handlers.join(', '))}\n`
  const why = reasons.length > 0 ? `: ${printable(reasons.join('; '))}` : ''
  return `${printable(uid)} is ${status}${why}; nothing runs\n`
}
