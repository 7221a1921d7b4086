import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

/** Requests remembered, so that a test that goes wild ends as a failed one. */
const MAX_SEEN = 200_000

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Since the epoch. */
  readonly atMs: number
  /** Undefined until it is read. */
  body: string | undefined
}

/** What the provider has seen. */
export interface Ledger {
  readonly requests: readonly SeenRequest[]
  /** By task id, unknown ones too. */
  readonly polls: ReadonlyMap<string, number>
  readonly maxOpenRequests: number
  /** In order, repeats included. */
  readonly idempotencyKeys: readonly string[]
  /** Clients that have followed a redirect. */
  readonly redirectHits: number
  readonly submissions: number
  pollsOf(taskId: string): number
  /** Times of a task's polls, since the epoch. */
  pollTimesMs(taskId: string): number[]
}

export class Recorder implements Ledger {
  readonly requests: SeenRequest[] = []
  readonly polls = new Map<string, number>()
  readonly idempotencyKeys: string[] = []
  maxOpenRequests = 0
  redirectHits = 0
  submissions = 0
  #openRequests = 0

  see(request: IncomingMessage, response: ServerResponse): SeenRequest {
    if (this.requests.length >= MAX_SEEN) throw new Error(`the fake provider has seen ${MAX_SEEN} requests`)
    const { method = '', url = '', headers } = request
    const seen: SeenRequest = { method, url, headers, atMs: Date.now(), body: undefined }
    this.requests.push(seen)
    this.maxOpenRequests = Math.max(this.maxOpenRequests, ++this.#openRequests)
    response.once('close', () => this.#openRequests--)
    return seen
  }

  /** Counts a poll; gives which one of its task it is, from 1. */
  poll(taskId: string): number {
    const nth = this.pollsOf(taskId) + 1
    this.polls.set(taskId, nth)
    return nth
  }

  /** Counts a submission; gives which one it is, from 1. */
  submission(key: string | undefined): number {
    if (key !== undefined) this.idempotencyKeys.push(key)
    return ++this.submissions
  }

  pollsOf(taskId: string): number {
    return this.polls.get(taskId) ?? 0
  }

  pollTimesMs(taskId: string): number[] {
    const url = `/tasks/${encodeURIComponent(taskId)}`
    return this.requests.filter((seen) => seen.method === 'GET' && seen.url === url).map(({ atMs }) => atMs)
  }
}
