import type { ConnectedSource } from '../domain/source.ts'
import type { LaneOptions } from './source-poller.ts'
import { Lane } from './source-poller.ts'

/**
 * Looks for stale and expired tasks, every `POLL_INTERVAL_MS`: the loop apart from its passes, one lane for each source.
 */
export class Poller {
  readonly bySource: ReadonlyMap<string, Lane>
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(sources: readonly ConnectedSource[], options: LaneOptions) {
    this.#intervalMs = options.pollIntervalMs
    this.bySource = new Map(sources.map((each) => [each.name, new Lane(each, options)]))
  }

  /** Passes now and from then on. A pass that takes longer than the interval is the lane's own: it is not started twice. */
  start(): void {
    void this.pass()
    this.#timer = setInterval(() => void this.pass(), this.#intervalMs)
  }

  /** One pass over every source; resolves when all are through. */
  async pass(): Promise<void> {
    await Promise.all([...this.bySource.values()].map((lane) => lane.pass()))
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.bySource.values()].map((lane) => lane.stop()))
  }
}
