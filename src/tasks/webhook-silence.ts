import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'

/** So many tasks of a source that end by poll in a row, without one webhook, show that its webhooks do not come. */
const SILENT_AFTER_TASKS = 3

interface SourceWebhooks {
  lastWebhookAtMs: number | undefined
  /** Tasks that ended by poll since. */
  endedByPoll: number
  firstEndedByPollAtMs: number
  /** The log says already that they do not come. */
  isSilent: boolean
}

/**
 * Notices when a provider's webhooks do not come any more. Its tasks then end by poll alone: that works, and would hide the
 * fault.
 */
export class WebhookSilence {
  readonly #bySource = new Map<string, SourceWebhooks>()
  readonly #lastKept: (source: string) => Promise<number | undefined>
  readonly #clock: Clock
  readonly #log: Logger

  /** `lastKept`: when any process stored the last webhook of a source. */
  constructor(lastKept: (source: string) => Promise<number | undefined>, clock: Clock, log: Logger) {
    this.#lastKept = lastKept
    this.#clock = clock
    this.#log = log
  }

  /** A webhook arrived, whatever became of it. */
  webhookArrived(source: string, atMs = this.#clock()): void {
    const webhooks = this.#of(source)
    if (webhooks.isSilent) this.#log.info({ source }, 'webhooks of this source come again')
    webhooks.lastWebhookAtMs = atMs
    webhooks.endedByPoll = 0
    webhooks.isSilent = false
  }

  /** A task ended by poll. Warns once for each silence. */
  async endedByPoll(source: string): Promise<void> {
    const webhooks = this.#of(source)
    if (webhooks.endedByPoll++ === 0) webhooks.firstEndedByPollAtMs = this.#clock()
    // Also during a silence: a process that gets no webhooks itself learns only here that they come again.
    if (webhooks.endedByPoll % SILENT_AFTER_TASKS !== 0) return
    await this.#learnFromStore(source, webhooks)
    if (webhooks.endedByPoll < SILENT_AFTER_TASKS || webhooks.isSilent) return
    webhooks.isSilent = true
    this.#log.warn(
      { source, recovered: webhooks.endedByPoll },
      'webhooks of this source do not come: its tasks end by poll alone; look at its registration and PUBLIC_URL',
    )
  }

  /** Webhooks may arrive at other processes. */
  async #learnFromStore(source: string, webhooks: SourceWebhooks): Promise<void> {
    const keptAtMs = await this.#lastKept(source).catch(() => undefined)
    if (keptAtMs !== undefined && keptAtMs >= webhooks.firstEndedByPollAtMs) this.webhookArrived(source, keptAtMs)
  }

  lastWebhookAtMs = (source: string): number | undefined => this.#bySource.get(source)?.lastWebhookAtMs

  /** Since when no webhooks come: since the last one, or else the first task that ended by poll. Undefined: they come. */
  async silentSinceMs(source: string): Promise<number | undefined> {
    const webhooks = this.#bySource.get(source)
    if (webhooks === undefined || webhooks.endedByPoll < SILENT_AFTER_TASKS) return undefined
    await this.#learnFromStore(source, webhooks)
    if (webhooks.endedByPoll < SILENT_AFTER_TASKS) return undefined
    return webhooks.lastWebhookAtMs ?? webhooks.firstEndedByPollAtMs
  }

  #of(source: string): SourceWebhooks {
    const known = this.#bySource.get(source)
    if (known !== undefined) return known
    const webhooks: SourceWebhooks = {
      lastWebhookAtMs: undefined,
      endedByPoll: 0,
      firstEndedByPollAtMs: 0,
      isSilent: false,
    }
    this.#bySource.set(source, webhooks)
    return webhooks
  }
}
