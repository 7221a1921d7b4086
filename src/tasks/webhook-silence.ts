import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'

/** Tasks of a source that had to be asked for in a row, without one webhook, after which its webhooks count as lost. */
export const SILENT_AFTER_TASKS = 3

interface Channel {
  lastWebhookAtMs: number | undefined
  /** Tasks recovered since. */
  recovered: number
  firstRecoveredAtMs: number
  /** Its silence was told of. */
  isSilent: boolean
}

/**
 * Notices when a provider's webhooks do not come any more: its tasks then end by poll alone, which works, and so would
 * hide the fault for ever.
 */
export class PushChannels {
  readonly #channels = new Map<string, Channel>()
  readonly #lastKept: (source: string) => Promise<number | undefined>
  readonly #clock: Clock
  readonly #log: Logger

  /** `lastKept`: when the last webhook of a source was kept, by whichever process. */
  constructor(lastKept: (source: string) => Promise<number | undefined>, clock: Clock, log: Logger) {
    this.#lastKept = lastKept
    this.#clock = clock
    this.#log = log
  }

  /** A webhook came, whatever became of it. */
  heard(source: string, atMs = this.#clock()): void {
    const channel = this.#of(source)
    if (channel.isSilent) this.#log.info({ source }, 'webhooks of this source come again')
    channel.lastWebhookAtMs = atMs
    channel.recovered = 0
    channel.isSilent = false
  }

  /** A task ended that the provider had to be asked for. Warns once for each silence. */
  async recovered(source: string): Promise<void> {
    const channel = this.#of(source)
    if (channel.recovered++ === 0) channel.firstRecoveredAtMs = this.#clock()
    // Also while it is silent: only so does one who hears none himself know of the end of a silence, and of the next.
    if (channel.recovered % SILENT_AFTER_TASKS !== 0) return
    await this.#hearOfOthers(source, channel)
    if (channel.recovered < SILENT_AFTER_TASKS || channel.isSilent) return
    channel.isSilent = true
    this.#log.warn(
      { source, recovered: channel.recovered },
      'webhooks of this source do not come: its tasks end by poll alone; look at its registration and PUBLIC_URL',
    )
  }

  /** Webhooks may come to other processes. */
  async #hearOfOthers(source: string, channel: Channel): Promise<void> {
    const keptAtMs = await this.#lastKept(source).catch(() => undefined)
    if (keptAtMs !== undefined && keptAtMs >= channel.firstRecoveredAtMs) this.heard(source, keptAtMs)
  }

  lastWebhookAtMs = (source: string): number | undefined => this.#channels.get(source)?.lastWebhookAtMs

  /** Since when there is silence: the last webhook, or else the first task that had to be asked for; undefined: none. */
  async silentSinceMs(source: string): Promise<number | undefined> {
    const channel = this.#channels.get(source)
    if (channel === undefined || channel.recovered < SILENT_AFTER_TASKS) return undefined
    await this.#hearOfOthers(source, channel)
    if (channel.recovered < SILENT_AFTER_TASKS) return undefined
    return channel.lastWebhookAtMs ?? channel.firstRecoveredAtMs
  }

  #of(source: string): Channel {
    const known = this.#channels.get(source)
    if (known !== undefined) return known
    const channel: Channel = { lastWebhookAtMs: undefined, recovered: 0, firstRecoveredAtMs: 0, isSilent: false }
    this.#channels.set(source, channel)
    return channel
  }
}
