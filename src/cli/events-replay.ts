import type { ReplayJson } from '../http/schemas/events.ts'
import { command, EXIT_FAILED, EXIT_OK, UsageError } from './command.ts'
import { eventPath } from './events.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { printable, writeAnswer } from './output.ts'
import { bulkFlags, runBulk } from './replays.ts'

export const eventsReplay = command({
  name: 'events replay',
  usage: '<uid> | <filter> [options]',
  summary: "Runs an event again, or all that match a filter, by today's handlers and schemas.",
  operands: ['uid?'],
  flags: bulkFlags,
  run: async ({ flags, operands: [uid] }, io) => {
    if (uid === undefined) return runBulk(io, flags)
    const { handler, json, utc: _, yes: __, ...ofMany } = flags
    const [given] = Object.entries(ofMany).find(([, value]) => value !== undefined && value !== false) ?? []
    if (given !== undefined) throw new UsageError(`--${given} is for many events, and ${uid} is one`)
    return withOps(io, async (ops) => {
      const replayed = await replayEvent(ops, uid, handler)
      await writeAnswer(io, replayed, { json }, (each) => replayedLine(uid, each))
      // Success also if nothing is started: the deliveries of the event are pending or running already.
      return replayed.status === 'accepted' ? EXIT_OK : EXIT_FAILED
    })
  },
})

/** Runs one event again, for one handler or for all that want it. Resolves with the event's new status. */
export const replayEvent = (ops: OpsClient, uid: string, handler: string | undefined): Promise<ReplayJson> =>
  ops.post(`${eventPath(uid)}/replay`, handler === undefined ? {} : { handler })

export const replayedLine = (uid: string, routing: ReplayJson): string =>
  routing.handlers.length > 0
    ? `${printable(uid)} runs again: ${printable(routing.handlers.join(', '))}\n`
    : `${printable(uid)} ${printable(nothingRuns(routing))}\n`

/** Why no handler runs after a replay. */
export function nothingRuns({ status, reasons }: ReplayJson): string {
  if (status === 'accepted') return 'is pending or running already; nothing else runs'
  return `is ${status}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}; nothing runs`
}
