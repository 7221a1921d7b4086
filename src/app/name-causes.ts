import { realpathSync } from 'node:fs'
import { causeOf } from '../domain/cause.ts'
import { type Clock, DAY_MS } from '../domain/clock.ts'
import type { Config } from '../domain/config.ts'
import type { DeadLetters, DeadPosition, NameCauses } from '../domain/dead-letters.ts'
import { messageOf } from '../domain/errors.ts'
import type { Log } from '../log/log.ts'
import type { WiringInputs } from './wiring.ts'

/** Time between two looks for dead deliveries without a cause, and between two prunings of causes. */
const LOOK_INTERVAL_MS = 5_000
const PRUNE_INTERVAL_MS = 3_600_000
/** Deliveries of one step, and the pause after it: other commits go between the steps. */
const STEP_SIZE = 200
const STEP_PAUSE_MS = 20
/** A cause is kept for so long after it was last seen, however short the retention is. */
const MIN_KEPT_DAYS = 2

interface NamingSettings {
  readonly causeOf: NameCauses['causeOf']
  /** 0: for ever. */
  readonly keptDays: number
}

interface NamingOptions {
  readonly store: Pick<DeadLetters, 'nameCauses' | 'pruneCauses'>
  /** Read at each look: a reload may change them. */
  readonly settings: () => NamingSettings
  readonly clock: Clock
  readonly log: Log['log']
}

/**
 * Finds out the causes of dead deliveries that have none: of those whose death the store decided, and, after an upgrade, of those that
 * died before it.
 */
export class CauseNaming {
  readonly #options: NamingOptions
  #timer: NodeJS.Timeout | undefined
  #working: Promise<void> = Promise.resolve()
  #isStopped = false
  #prunedAtMs: number | undefined

  constructor(options: NamingOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#isStopped) return
    this.#working = this.pass().finally(() => {
      if (!this.#isStopped) this.#timer = setTimeout(() => this.start(), LOOK_INTERVAL_MS).unref()
    })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#working
  }

  /** One look at all dead deliveries without a cause. */
  async pass(): Promise<void> {
    const { store, settings, log } = this.#options
    try {
      const { causeOf, keptDays } = settings()
      let from: DeadPosition | undefined
      let named = 0
      do {
        const step = await store.nameCauses({ causeOf, limit: STEP_SIZE, ...(from !== undefined && { from }) })
        named += step.named
        from = step.next
        if (from !== undefined) await new Promise((resolve) => setTimeout(resolve, STEP_PAUSE_MS))
      } while (from !== undefined && !this.#isStopped)
      if (named > STEP_SIZE) log.info({ deliveries: named }, 'found out the causes of dead deliveries')
      await this.#prune(keptDays)
    } catch (error) {
      // The store reports its own faults; the next look tries again.
      log.debug({ error: messageOf(error) }, 'the causes of dead deliveries could not be found out')
    }
  }

  async #prune(keptDays: number): Promise<void> {
    const { store, clock } = this.#options
    const nowMs = clock()
    if (keptDays === 0 || nowMs - (this.#prunedAtMs ?? 0) < PRUNE_INTERVAL_MS) return
    await store.pruneCauses(nowMs - Math.max(keptDays + 1, MIN_KEPT_DAYS) * DAY_MS)
    this.#prunedAtMs = nowMs
  }
}

/** Follows the configuration of the generation in use. */
export const causeNamingOf = (
  { store, clock, log }: WiringInputs,
  generations: () => { readonly current: { readonly parts: { readonly config: Config } } },
): CauseNaming =>
  new CauseNaming({
    store,
    settings: () => {
      const { retentionDays, deadRetentionDays, handlersDir } = generations().current.parts.config
      const directory = realDirectory(handlersDir)
      return {
        causeOf: (error, detail) => causeOf(error, detail, directory),
        keptDays: retentionDays === 0 ? 0 : deadRetentionDays,
      }
    },
    clock,
    log,
  })

/** As the stacks of errors name it. */
export function realDirectory(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
