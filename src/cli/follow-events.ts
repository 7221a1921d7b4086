import { setTimeout as sleep } from 'node:timers/promises'
import type { EventJson } from '../http/schemas/events.ts'
import { CommandError } from './command.ts'
import { type OpsClient, ProblemError, type QueryParameters } from './ops-client.ts'

/** How long a follower waits before it asks a service again that did not answer, or that ended a stream at once. */
const RETRY_MS = 500
/** Characters of one message; the service sends far shorter ones. */
const MAX_MESSAGE_LENGTH = 1_048_576
const TOO_MANY_READERS = 429

export interface FollowOptions {
  /** Filters of the list of events. */
  readonly filter: QueryParameters
  /** RFC 3339: begins with the events received at or after it. Undefined: begins with the next event. */
  readonly since: string | undefined
  readonly signal: AbortSignal
}

/**
 * The events that a running service stores from now on, each once, in the order in which they were stored; they end when `signal` is
 * aborted. Rejects if the service does not answer. Later the events wait for it, go on where they were, and throw only if it refuses.
 */
export async function followEvents(
  ops: OpsClient,
  retry: OpsRetry,
  options: FollowOptions,
): Promise<AsyncGenerator<EventJson>> {
  const stream = new LiveStream(ops, options)
  const first = await stream.open()
  return eachOf(stream, first, retry, options.signal)
}

async function* eachOf(
  stream: LiveStream,
  first: AsyncIterable<Uint8Array>,
  retry: OpsRetry,
  signal: AbortSignal,
): AsyncGenerator<EventJson> {
  let answer: AsyncIterable<Uint8Array> | undefined = first
  while (answer !== undefined && !signal.aborted) {
    let isEmpty = true
    for await (const event of stream.events(answer)) {
      isEmpty = false
      yield event
      if (signal.aborted) return
    }
    if (isEmpty) await sleep(RETRY_MS, undefined, { signal }).catch(() => {})
    answer = await retry.untilAnswered(() => stream.open())
  }
}

/** Requests to a service that may go away and come back. */
export class OpsRetry {
  readonly #signal: AbortSignal
  readonly #onOutage: (error: unknown) => void
  #isAway = false

  /** `onOutage`: called with the error when the service does not answer, and with undefined when it answers again. */
  constructor(signal: AbortSignal, onOutage: (error: unknown) => void) {
    this.#signal = signal
    this.#onOutage = onOutage
  }

  /** Repeats a request until the service answers. Undefined: the signal was aborted before. Rejects if the service refuses it. */
  async untilAnswered<Answer>(request: () => Promise<Answer>): Promise<Answer | undefined> {
    while (!this.#signal.aborted) {
      try {
        const answer = await request()
        if (this.#isAway) this.#onOutage(undefined)
        this.#isAway = false
        return answer
      } catch (error) {
        if (error instanceof ProblemError && error.status < 500 && error.status !== TOO_MANY_READERS) throw error
        if (!this.#isAway && !this.#signal.aborted) this.#onOutage(error)
        this.#isAway = true
        await sleep(RETRY_MS, undefined, { signal: this.#signal }).catch(() => {})
      }
    }
    return undefined
  }
}

/** `GET /v1/live`, each time from where it ended. */
class LiveStream {
  readonly #ops: OpsClient
  readonly #options: FollowOptions
  #lastId: string | undefined

  constructor(ops: OpsClient, options: FollowOptions) {
    this.#ops = ops
    this.#options = options
  }

  open(): Promise<AsyncIterable<Uint8Array>> {
    const { filter, since, signal } = this.#options
    const query = { ...filter, since, last_event_id: this.#lastId }
    return this.#ops.stream('/v1/live', query, signal)
  }

  /** Ends with the answer, also when the connection breaks. */
  async *events(answer: AsyncIterable<Uint8Array>): AsyncGenerator<EventJson> {
    for await (const block of blocksOf(answer)) {
      const fields = new Map(block.split('\n').map(fieldOf))
      const data = fields.get('data')
      if (fields.get('event') === 'event' && data !== undefined) yield JSON.parse(data) as EventJson
      // After the event was taken.
      this.#lastId = fields.get('id') ?? this.#lastId
    }
  }
}

function fieldOf(line: string): [name: string, value: string] {
  const at = line.indexOf(':')
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, '')]
}

/** The messages of server-sent events, which end with an empty line. */
async function* blocksOf(answer: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  const chunks = answer[Symbol.asyncIterator]()
  let text = ''
  for (;;) {
    // A broken connection ends the stream; what was not complete comes again.
    const { value, done } = await chunks.next().catch(() => ({ value: undefined, done: true }))
    if (done === true || value === undefined) return
    text += decoder.decode(value, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    if (text.length > MAX_MESSAGE_LENGTH) throw new CommandError('a message of the service is too long')
    yield* blocks
  }
}
