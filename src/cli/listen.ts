import { once } from 'node:events'
import { styleText } from 'node:util'
import type { Agent } from 'undici'
import { messageOf } from '../domain/errors.ts'
import type { EventDetailJson } from '../http/schemas/events.ts'
import { type CliIo, command, EXIT_FAILED, EXIT_OK, UsageError } from './command.ts'
import { alsoSince, eventFlags } from './event-flags.ts'
import { eventPath } from './events.ts'
import { endOf, outage } from './events-tail.ts'
import { followEvents, OpsRetry } from './follow-events.ts'
import { unknownNames } from './lists.ts'
import { configuredOps, type OpsClient, ProblemError, withOps } from './ops-client.ts'
import { printable, shortDuration, write } from './output.ts'
import { timeOf } from './times.ts'

/** How long the local server may take to answer. */
const FORWARD_TIMEOUT_MS = 30_000
/** Headers of the connection between the provider and Holdfast, and of its body's form there. */
const NOT_FORWARDED = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const UID_HEADER = 'holdfast-uid'

export const listen = command({
  name: 'listen',
  summary: 'Forwards the events that a running Holdfast receives to a local server, as they came.',
  operands: [],
  flags: {
    to: { value: '<url>', help: 'POST the events to this URL', required: true },
    source: eventFlags.source,
    type: eventFlags.type,
    since: alsoSince,
    event: { value: '<uid>', help: 'forward this event again, and end' },
    from: { value: '<url>', help: "the ops API of the Holdfast; this machine's unless given" },
    token: { value: '<token>', help: 'its OPS_TOKEN; better set OPS_TOKEN, as others can see the arguments' },
  },
  run: async ({ flags: { to, from, token, event, ...filter } }, io) => {
    if (event !== undefined && Object.values(filter).some((value) => value !== undefined))
      throw new UsageError('--event goes without --source, --type and --since')
    const target = urlOf('to', to)
    const service =
      from === undefined
        ? configuredOps(io)
        : {
            url: urlOf('from', from).href.replace(/\/$/, ''),
            token: configuredOps(io).token,
            setBy: '--from sets this address',
          }
    const { Agent } = await import('undici')
    const agent = new Agent({ headersTimeout: FORWARD_TIMEOUT_MS, bodyTimeout: FORWARD_TIMEOUT_MS, connections: 1 })
    try {
      return await withOps(
        io,
        async (ops) => {
          const forwarder = new Forwarder(agent, target, io)
          if (event !== undefined) return (await forwarder.forward(await load(ops, event))) ? EXIT_OK : EXIT_FAILED
          const since = timeOf('since', filter.since)
          const started = `forwarding the events of ${service.url} to ${target.href}`
          return forwardAll(ops, forwarder, { ...filter, since, started }, io)
        },
        { service: token === undefined ? service : { ...service, token } },
      )
    } finally {
      await agent.destroy()
    }
  },
})

function urlOf(option: string, text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.hash !== '')
    throw new UsageError(`--${option} is no URL that begins with http:// or https://`)
  if (option === 'from' && `${url.username}${url.password}${url.search}` !== '')
    throw new UsageError('--from is the plain address of an ops API')
  return url
}

interface Forwarding {
  readonly source: string | undefined
  readonly type: string | undefined
  readonly since: string | undefined
  /** Told once no later event can be missed. */
  readonly started: string
}

/** Forwards one event after the other until the process gets a signal to end, or until the reader of its output is gone. */
async function forwardAll(ops: OpsClient, forwarder: Forwarder, options: Forwarding, io: CliIo): Promise<number> {
  const signal = endOf(io)
  const tell = (text: string): void => void io.err.write(`${printable(text)}\n`)
  for (const fault of await unknownNames(ops, { source: options.source })) tell(fault)
  const retry = new OpsRetry(signal, (error) => tell(outage(error)))
  const { source, type, since } = options
  const forwardEach = async (): Promise<void> => {
    const events = await followEvents(ops, retry, { filter: { source, type }, since, signal })
    tell(options.started)
    for await (const { uid, origin } of events) {
      // The answer to a poll is not a request of a provider.
      const stored = origin === 'poll' ? undefined : await retry.untilAnswered(() => load(ops, uid).catch(unlessGone))
      if (signal.aborted) return
      if (stored !== undefined) await forwarder.forward(stored)
    }
  }
  const forwarding = forwardEach()
  await Promise.race([forwarding, signal.aborted ? undefined : once(signal, 'abort')])
  // A request that is open fails when its connection is closed.
  forwarding.catch(() => {})
  tell(forwarder.summary())
  return EXIT_OK
}

interface StoredEvent {
  readonly event: EventDetailJson
  readonly body: Uint8Array
}

async function load(ops: OpsClient, uid: string): Promise<StoredEvent> {
  const event = await ops.get<EventDetailJson>(eventPath(uid))
  return { event, body: await ops.bytes(`${eventPath(uid)}/body`) }
}

/** An event may be deleted before it is loaded. */
function unlessGone(error: unknown): undefined {
  if (!(error instanceof ProblemError && error.status === 404)) throw error
}

/** Forwards single events, and says how that went. */
class Forwarder {
  readonly #agent: Agent
  readonly #target: URL
  readonly #io: CliIo
  #accepted = 0
  #failed = 0

  constructor(agent: Agent, target: URL, io: CliIo) {
    this.#agent = agent
    this.#target = target
    this.#io = io
  }

  /** Resolves with whether the server has answered 2xx. */
  async forward({ event, body }: StoredEvent): Promise<boolean> {
    const { uid } = event
    const startedMs = performance.now()
    const { text, isAccepted } = await this.#post(event, body)
    // The command has ended meanwhile, and has said how many were forwarded.
    if (this.#agent.destroyed) return false
    const outcome = this.#paint(isAccepted ? 'green' : 'red', `→ ${text}`)
    const took = this.#paint('gray', shortDuration(performance.now() - startedMs))
    const time = this.#paint('gray', new Date(event.received_at).toTimeString().slice(0, 8))
    await write(this.#io.out, `${time}  ${printable(event.type)}  ${this.#paint('gray', uid)}  ${outcome}  ${took}\n`)
    if (isAccepted) this.#accepted++
    else if (++this.#failed === 1)
      await write(this.#io.err, `to forward an event again: holdfast listen --to ${this.#target.href} --event ${uid}\n`)
    return isAccepted
  }

  summary(): string {
    const total = this.#accepted + this.#failed
    const failed = this.#failed === 0 ? '' : `, ${this.#failed} of them not with an answer of 2xx`
    return `${total} event${total === 1 ? '' : 's'} forwarded${failed}`
  }

  async #post({ headers, uid }: EventDetailJson, body: Uint8Array) {
    const kept = Object.entries(headers).filter(([name]) => !NOT_FORWARDED.has(name))
    try {
      const answer = await this.#agent.request({
        origin: this.#target.origin,
        path: `${this.#target.pathname}${this.#target.search}`,
        method: 'POST',
        headers: { ...Object.fromEntries(kept), [UID_HEADER]: uid },
        body: Buffer.from(body),
      })
      await answer.body.dump()
      const { statusCode } = answer
      return { text: String(statusCode), isAccepted: statusCode >= 200 && statusCode < 300 }
    } catch (error) {
      return { text: printable(faultOf(error)), isAccepted: false }
    }
  }

  #paint = (style: 'green' | 'red' | 'gray', text: string): string =>
    this.#io.hasColours === true ? styleText(style, text, { validateStream: false }) : text
}

const FAULTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (ECONNREFUSED)',
  UND_ERR_HEADERS_TIMEOUT: `no answer within ${FORWARD_TIMEOUT_MS / 1_000} s`,
  UND_ERR_SOCKET: 'the connection was closed without an answer',
}

function faultOf(error: unknown): string {
  const { code = '' } = error as NodeJS.ErrnoException
  return FAULTS[code] ?? (messageOf(error) || code)
}
