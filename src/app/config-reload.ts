import type { Logger } from 'pino'
import type { AuditTrail } from '../domain/audit.ts'
import { messageOf } from '../domain/errors.ts'
import { changedSettings, type ReloadResult } from '../domain/reload.ts'
import type { ReadConfig } from './config.ts'
import type { Reloader } from './reload.ts'
import { SecretFiles } from './secret-files.ts'

/** What asked for a reload. `file`: a file that a variable `X_FILE` names has changed. */
export type ReloadTrigger = 'signal' | 'request' | 'file'

/** How long after a reload that failed because the database is away it is tried again. */
const RETRY_MS = 5_000

interface ConfigReloadOptions {
  readonly reloader: Pick<Reloader, 'reload'>
  /** Reads the configuration as it is now, as `rereadConfig` says. */
  readonly reread: (inUse: ReadConfig) => ReadConfig
  /** That of the start. */
  readonly first: ReadConfig
  readonly audit: AuditTrail
  readonly log: Logger
  /** For tests. */
  readonly retryMs?: number
}

/** Reloads the configuration when an operator asks for it, and when a file with a value of it changes. Tells the log what came of it. */
export class ConfigReload {
  readonly #options: ConfigReloadOptions
  readonly #files: SecretFiles
  #inUse: ReadConfig
  #told: ReloadResult | undefined
  /** A reload that is tried again, as its trigger will not come again. */
  #retry: { readonly trigger: ReloadTrigger; readonly timer: NodeJS.Timeout } | undefined
  #isClosed = false

  constructor(options: ConfigReloadOptions) {
    this.#options = options
    const { log, first } = options
    this.#inUse = first
    this.#files = new SecretFiles(
      () => void this.reload('file'),
      (file, error) =>
        log.warn({ file, error: messageOf(error) }, 'a file cannot be watched: its changes are found later'),
    )
    this.#files.watch(first.files)
  }

  /**
   * Reads the configuration again and replaces everything that depends on it, as `Reloader.reload` says. If there is a fault, names
   * all of them, and nothing has changed. If the database is away, tries again by itself, but for a request, whose sender is told.
   * Never rejects.
   */
  reload = (trigger: ReloadTrigger): Promise<ReloadResult> => this.#reload(trigger)

  async #reload(trigger: ReloadTrigger, isRetry = false): Promise<ReloadResult> {
    const { reloader, reread } = this.#options
    this.#files.note()
    const read = reread(this.#inUse)
    // Also if it is refused: when its files are repaired, it is to be read again.
    this.#files.watch(read.files)
    const result = await reloader.reload(read)
    if (result.ok) this.#inUse = read
    const isAway = !result.ok && result.isAway === true
    this.#tryAgain(isAway ? (trigger === 'request' ? this.#retry?.trigger : trigger) : undefined)
    // Several who asked at the same time have the same result.
    if (result !== this.#told && !(isRetry && isAway)) {
      this.#tell(result, trigger)
      // A request is recorded with its route.
      if (trigger !== 'request') void this.#record(result, trigger)
    }
    this.#told = result
    return result
  }

  close(): void {
    this.#isClosed = true
    this.#tryAgain(undefined)
    this.#files.close()
  }

  #tryAgain(trigger: ReloadTrigger | undefined): void {
    clearTimeout(this.#retry?.timer)
    this.#retry = undefined
    if (trigger === undefined || this.#isClosed) return
    const { retryMs = RETRY_MS } = this.#options
    this.#retry = { trigger, timer: setTimeout(() => void this.#reload(trigger, true), retryMs).unref() }
  }

  async #record(result: ReloadResult, actor: 'signal' | 'file'): Promise<void> {
    if (!result.ok && result.isStopping) return
    const outcome = result.ok
      ? { outcome: 'done' as const, ...changedSettings(result.changes) }
      : { outcome: 'failed' as const, reason: `${result.faults.length} fault${result.faults.length === 1 ? '' : 's'}` }
    await this.#options.audit.record({ action: 'configuration.reload', actor, ...outcome })
  }

  #tell(result: ReloadResult, trigger: ReloadTrigger): void {
    const { log } = this.#options
    if (!result.ok) {
      if (result.isStopping) return
      for (const fault of result.faults) log.error({ trigger }, fault)
      log.error({ trigger, faults: result.faults.length }, 'not reloaded: the old configuration stays')
      return
    }
    const { sources, handlers, settings, needRestart } = result.changes
    log.info(
      { trigger, duration_ms: Math.round(result.durationMs), sources, handlers, settings },
      'configuration reloaded',
    )
    if (needRestart.length > 0)
      log.warn({ settings: needRestart }, 'these settings have changed, and only a restart brings them into effect')
  }
}
