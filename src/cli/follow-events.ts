import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_PAGE_SIZE } from '../domain/limits.ts'
import type { EventJson } from '../http/schemas/events.ts'
import type { PageJson } from '../http/schemas/schema.ts'
import { type OpsClient, ProblemError } from './ops-client.ts'

/** How often the service is asked for new events. */
const POLL_MS = 500
/**
 * An event may be stored after events that were received later: it waited for its commit, or another replica received it, whose clock
 * is ahead. Up to this much later it is still found.
 */
const LATE_MS = 10_000
/** Only every so many polls look for such events. */
const POLLS_PER_DEEP_ONE = 10
/** About the most events of one poll; those received before them are left out. */
const MAX_NEW = 50_000

export interface FollowOptions {
  readonly source: string | undefined
  /** A type, or a pattern with `*`. */
  readonly type: string | undefined
  /** RFC 3339: begins with the events received at or after it. Undefined: begins with the next event. */
  readonly since: string | undefined
  readonly signal: AbortSignal
  /** Called if one poll finds so many new events that the older ones are left out. */
  readonly onSkipped: () => void
  /** For tests. */
  readonly pollMs?: number
}

/**
 * The events that a running service receives from now on, each once, in order of receipt; they end when `signal` is aborted. Rejects
 * if the service does not answer. Later the events wait for it, and throw only if it refuses a request.
 */
export async function followEvents(
  ops: OpsClient,
  retry: OpsRetry,
  options: FollowOptions,
): Promise<AsyncGenerator<EventJson>> {
  const events = new NewEvents(ops, options)
  await events.begin()
  return eachOf(events, retry, options)
}

async function* eachOf(
  events: NewEvents,
  retry: OpsRetry,
  { signal, pollMs = POLL_MS }: FollowOptions,
): AsyncGenerator<EventJson> {
  for (let nth = 0; !signal.aborted; nth++) {
    const found = (await retry.untilAnswered(() => events.find(nth % POLLS_PER_DEEP_ONE === 0))) ?? []
    yield* found
    if (found.length === 0) await sleep(pollMs, undefined, { signal }).catch(() => {})
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
        if (error instanceof ProblemError && error.status < 500) throw error
        if (!this.#isAway && !this.#signal.aborted) this.#onOutage(error)
        this.#isAway = true
        await sleep(POLL_MS, undefined, { signal: this.#signal }).catch(() => {})
      }
    }
    return undefined
  }
}

/** Finds the events that were not there before. */
class NewEvents {
  readonly #ops: OpsClient
  readonly #options: FollowOptions
  /** The next poll finds events that were received at this time or later; undefined: all. */
  #fromMs: number | undefined
  /** Uid → time of receipt, of the events since then that are known. */
  readonly #known = new Map<string, number>()

  constructor(ops: OpsClient, options: FollowOptions) {
    this.#ops = ops
    this.#options = options
  }

  async begin(): Promise<void> {
    const { since } = this.#options
    if (since !== undefined) this.#fromMs = Date.parse(since)
    else {
      this.#moveOn(await this.#newestMs())
      await this.find(true)
    }
  }

  /** In order of receipt. `deep`: also looks for those that were stored late. */
  async find(deep: boolean): Promise<readonly EventJson[]> {
    const { source, type, onSkipped } = this.#options
    const since = this.#fromMs === undefined ? undefined : new Date(this.#fromMs).toISOString()
    // Before the list: an event that is stored while the list is read belongs to the next poll.
    const newestMs = await this.#newestMs()
    const found: EventJson[] = []
    let cursor: string | undefined
    do {
      const query = { source, type, since, limit: MAX_PAGE_SIZE, cursor }
      const page: PageJson<EventJson> = await this.#ops.get('/v1/events', query)
      const unknown = page.items.filter(({ uid }) => !this.#known.has(uid))
      found.push(...unknown)
      cursor = page.next_cursor ?? undefined
      if (!deep && unknown.length === 0) cursor = undefined
    } while (cursor !== undefined && found.length < MAX_NEW)
    if (cursor !== undefined) onSkipped()
    for (const { uid, received_at } of found) this.#known.set(uid, Date.parse(received_at))
    this.#moveOn(newestMs)
    return found.reverse()
  }

  /** When the newest event of the service was received, of any source and type: the service's own time. */
  async #newestMs(): Promise<number | undefined> {
    const { items } = await this.#ops.get<PageJson<EventJson>>('/v1/events', { limit: 1 })
    return items[0] === undefined ? undefined : Date.parse(items[0].received_at)
  }

  #moveOn(newestMs: number | undefined): void {
    if (newestMs === undefined) return
    const fromMs = Math.max(newestMs - LATE_MS, this.#fromMs ?? 0)
    this.#fromMs = fromMs
    for (const [uid, atMs] of this.#known) if (atMs < fromMs) this.#known.delete(uid)
  }
}
