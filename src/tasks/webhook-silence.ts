import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'

/** If this many tasks of a source in a row end by poll, without a webhook of the source, its webhooks count as silent. */
const SILENT_AFTER_TASKS = 3

interface SourceWebhooks {
  lastWebhookAtMs: number | undefined
  /** Tasks that have ended by poll since the last webhook. */
  endedByPoll: number
  firstEndedByPollAtMs: number
  /** The silence was logged. */
  isSilent: boolean
}

/**
 * Detects that a provider's webhooks do not arrive any more. Its tasks then end only by poll, which works, and so would hide the fault.
 */
export class WebhookSilence {
  readonly #bySource = new Map<string, SourceWebhooks>()
  readonly #lastKept: (source: string) => Promise<number | undefined>
  readonly #clock: Clock
  readonly #log: Logger

  /** `lastKept`: when the last stored webhook of a source was received, by any process. */
  constructor(lastKept: (source: string) => Promise<number | undefined>, clock: Clock, log: Logger) {
    this.#lastKept = lastKept
    this.#clock = clock
    this.#log = log
  }

  /** Called for each webhook, whatever its status. */
  webhookArrived(source: string, atMs = this.#clock()): void {
    const webhooks = this.#of(source)
    if (webhooks.isSilent) this.#log.info({ source }, 'webhooks of this source come again')
    webhooks.lastWebhookAtMs = atMs
    webhooks.endedByPoll = 0
    webhooks.isSilent = false
  }

  /** Called for each task that ended by poll. Warns once for each silence. */
  async endedByPoll(source: string): Promise<void> {
    const webhooks = this.#of(source)
    if (webhooks.endedByPoll++ === 0) webhooks.firstEndedByPollAtMs = this.#clock()
    // Also during a silence: a process that receives no webhooks itself learns only here that they arrive again.
    if (webhooks.endedByPoll % SILENT_AFTER_TASKS !== 0) return
    await this.#learnFromStore(source, webhooks)
    if (webhooks.endedByPoll < SILENT_AFTER_TASKS || webhooks.isSilent) return
    webhooks.isSilent = true
    this.#log.warn(
      { source, recovered: webhooks.endedByPoll },
      'webhooks of this source do not come: its tasks end by poll alone; look at its registration and PUBLIC_URL',
    )
  }

  /** Reads from the store whether a webhook has arrived at another process. */
  async #learnFromStore(source: string, webhooks: SourceWebhooks): Promise<void> {
    const keptAtMs = await this.#lastKept(source).catch(() => undefined)
    if (keptAtMs !== undefined && keptAtMs >= webhooks.firstEndedByPollAtMs) this.webhookArrived(source, keptAtMs)
  }

  lastWebhookAtMs = (source: string): number | undefined => this.#bySource.get(source)?.lastWebhookAtMs

  /** The beginning of the silence: the last webhook, or else the first task that ended by poll. Undefined: webhooks arrive. */
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
