import { once } from 'node:events'
import { messageOf } from '../domain/errors.ts'
import { EVENT_STATUSES } from '../domain/event.ts'
import { EVENT_OUTCOMES } from '../domain/outcome.ts'
import type { EventJson } from '../http/schemas/events.ts'
import { type CliIo, command, EXIT_OK, jsonFlag, oneOf } from './command.ts'
import { alsoSince, eventFlags, payloadFlags } from './event-flags.ts'
import { followEvents, OpsRetry } from './follow-events.ts'
import { unknownNames } from './lists.ts'
import { withOps } from './ops-client.ts'
import { printable, write } from './output.ts'
import { timeOf } from './times.ts'
import { painted, stateCell, timeIn, type View, viewFlags, viewOf } from './view.ts'

export const eventsTail = command({
  name: 'events tail',
  summary:
    'Shows each event as it is stored, or when it gets an outcome, until you end it; waits for a service that goes away, and goes on.',
  operands: [],
  flags: {
    ...eventFlags,
    outcome: { ...oneOf('<outcome>', EVENT_OUTCOMES), help: 'each event when it gets this outcome' },
    ...payloadFlags,
    since: alsoSince,
    ...viewFlags,
    json: { ...jsonFlag, help: 'one line of JSON for each event' },
  },
  run: async ({ flags: { since, json, utc, ...filter } }, io) => {
    const view = viewOf(io.out, { utc })
    const show = json
      ? (event: EventJson) => `${JSON.stringify(event)}\n`
      : (event: EventJson) => lineOf(view, event, filter.outcome)
    return withOps(io, async (ops) => {
      const signal = endOf(io)
      const tell = (text: string): void => void io.err.write(`${printable(text)}\n`)
      for (const fault of await unknownNames(ops, { source: filter.source })) tell(fault)
      const retry = new OpsRetry(signal, (error) => tell(outage(error)))
      const showEach = async (): Promise<void> => {
        const events = await followEvents(ops, retry, { filter, since: timeOf('since', since), signal })
        for await (const event of events) await write(io.out, show(event))
      }
      const showing = showEach()
      await Promise.race([showing, signal.aborted ? undefined : once(signal, 'abort')])
      // A request that is open fails when its connection is closed.
      showing.catch(() => {})
      return EXIT_OK
    })
  },
})

/** Aborted when the operator ends the command, or when the reader of its output is gone. */
export function endOf(io: CliIo): AbortSignal {
  const outputGone = new AbortController()
  io.out.once('error', () => outputGone.abort())
  return AbortSignal.any([io.endSignal(), outputGone.signal])
}

/** What a follower says when a service goes away, and when it is back. */
export const outage = (error: unknown): string =>
  error === undefined ? 'the service answers again' : `${messageOf(error)}: waiting for it`

const STATUS_WIDTH = Math.max(...EVENT_STATUSES.map(({ length }) => length))

function lineOf(
  view: View,
  { received_at, status, source, type, uid }: EventJson,
  outcome: string | undefined,
): string {
  const { text, style } = stateCell(outcome ?? status)
  const padded = text.padEnd(STATUS_WIDTH)
  const shown = style === undefined ? padded : painted(view, style, padded)
  return `${timeIn(view, received_at)}  ${shown}  ${printable(source)}  ${printable(type)}  ${painted(view, 'gray', printable(uid))}\n`
}
