import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { LiveEvents } from '../../domain/live.ts'
import { readCredentials } from '../ops/access.ts'
import { clientGone } from '../ops/client-gone.ts'
import { EventStream } from '../ops/event-stream.ts'
import { sessionCookieOf } from './cookies.ts'
import type { ConsolePorts } from './ports.ts'
import { type ConsoleRoutes, LIVE } from './routes.ts'
import type { Sessions } from './session.ts'

/** Streams of one session: a browser has six connections to a host, and pages need some too. */
const MAX_OF_SESSION = 4
const MAX_STREAMS = 256
/** How often is looked whether there is something new. */
const LOOK_MS = 1_000
/** The longest silence of a stream. After the last event there are signals at rising distances: outcomes change without an event. */
const MAX_SILENCE_MS = 15_000
const RETRY_MS = 2_000

const CHANGED = 'event: changed\ndata:\n\n'

interface Stream {
  readonly session: string
  readonly stream: EventStream
  /** Whether who reads it still may. */
  readonly isAllowed: () => boolean
  isWriting: boolean
}

/** Tells pages that what they list may have changed, and nothing else: each page then asks for its own list. */
export function registerLiveSignal(routes: ConsoleRoutes, sessions: Sessions, ports: ConsolePorts): void {
  const signal = new LiveSignal(ports.live, ports.log)
  sessions.onEnd(() => signal.endForbidden())
  const isAllowed = ({ headers: { authorization } }: FastifyRequest): boolean =>
    authorization === undefined || typeof readCredentials(ports.access())(authorization) === 'object'

  routes.stream(LIVE, async (request, reply) => {
    signal.checkRoom()
    const cookie = sessionCookieOf(request)
    const session = sessions.read(cookie)
    const gone = clientGone(request.raw, reply.raw)
    const stream = new EventStream(reply.raw, gone)
    reply.hijack()
    stream.begin(reply.getHeaders())
    signal.add(
      {
        session: session?.id ?? `${request.credential?.actor} ${request.ip}`,
        stream,
        isAllowed: () => (session === undefined ? isAllowed(request) : sessions.read(cookie) !== undefined),
        isWriting: false,
      },
      gone,
    )
  })
}

class LiveSignal {
  readonly #live: LiveEvents
  readonly #log: Logger
  /** The oldest first. */
  readonly #streams = new Set<Stream>()
  #isFollowing = false

  constructor(live: LiveEvents, log: Logger) {
    this.#live = live
    this.#log = log
    live.stopping.addEventListener('abort', () => this.#endAll(), { once: true })
  }

  checkRoom(): void {
    if (this.#live.stopping.aborted) throw new HoldfastError('unavailable', 'shutting down')
    if (this.#streams.size >= MAX_STREAMS)
      throw new HoldfastError('too_many_readers', `${MAX_STREAMS} pages follow this process already`)
  }

  /** Ends the oldest stream of the session for one that is too much. */
  add(added: Stream, gone: AbortSignal): void {
    const others = [...this.#streams].filter(({ session }) => session === added.session)
    const [oldest] = others
    if (oldest !== undefined && others.length >= MAX_OF_SESSION) this.#end(oldest, 'event: over\ndata:\n\n')
    this.#streams.add(added)
    gone.addEventListener('abort', () => this.#streams.delete(added), { once: true })
    // What came after the page was made, and before its stream.
    void this.#write(added, `retry: ${RETRY_MS}\n${CHANGED}`)
    if (this.#isFollowing) return
    this.#isFollowing = true
    void this.#follow()
  }

  endForbidden(): void {
    for (const each of this.#streams) if (!each.isAllowed()) this.#end(each)
  }

  async #follow(): Promise<void> {
    let end = await this.#lookFor(undefined)
    let silenceMs = LOOK_MS
    let saidAtMs = performance.now()
    while (this.#streams.size > 0) {
      await sleep(LOOK_MS, undefined, { ref: false })
      if (this.#streams.size === 0) break
      const found = await this.#lookFor(end)
      if (found !== end) silenceMs = LOOK_MS
      else if (performance.now() - saidAtMs < silenceMs) continue
      else silenceMs = Math.min(MAX_SILENCE_MS, 2 * silenceMs)
      end = found
      saidAtMs = performance.now()
      this.endForbidden()
      for (const each of this.#streams) void this.#write(each, CHANGED)
    }
    this.#isFollowing = false
  }

  /** The end of the stored events; what was known of it if the store does not answer. */
  async #lookFor(known: number | undefined): Promise<number | undefined> {
    try {
      return await this.#live.end()
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'the console could not see whether events have come')
      return known
    }
  }

  /** A page that has not read the last signal needs no other. */
  async #write(to: Stream, text: string): Promise<void> {
    if (to.isWriting) return
    to.isWriting = true
    const isReading = await to.stream.write(text)
    to.isWriting = false
    if (!isReading) this.#end(to)
  }

  #end(one: Stream, last = ''): void {
    this.#streams.delete(one)
    one.stream.end(last)
  }

  #endAll(): void {
    for (const each of this.#streams) this.#end(each)
  }
}
