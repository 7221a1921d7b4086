import { auditText } from './audit.ts'

/** What a reload has changed. Secrets are named by their place in the setting, from 1 (the newest), and never shown. */
export interface ReloadChanges {
  readonly sources: {
    readonly added: readonly string[]
    readonly removed: readonly string[]
    readonly changed: readonly ChangedSource[]
  }
  /** Names of handlers. */
  readonly handlers: { readonly added: readonly string[]; readonly removed: readonly string[] }
  /** All settings whose values have changed, also those of sources. */
  readonly settings: readonly string[]
  /** Settings that have another value now than at the start, and that only a restart can change. */
  readonly needRestart: readonly string[]
}

export interface ChangedSource {
  readonly name: string
  /** How many secrets it has now. */
  readonly secrets: number
  /** The places of new secrets. */
  readonly added: readonly number[]
  /** The places that removed secrets had before. */
  readonly removed: readonly number[]
}

export type ReloadResult =
  | {
      readonly ok: true
      /** How many handlers there are now. */
      readonly handlers: number
      readonly changes: ReloadChanges
      readonly durationMs: number
    }
  /** Nothing has changed. `isStopping`: because the service stops. `isAway`: because the database is away. */
  | { readonly ok: false; readonly faults: readonly string[]; readonly isStopping?: true; readonly isAway?: true }

/** For the audit. */
export const changedSettings = ({ settings }: ReloadChanges): { readonly target?: string; readonly count: number } => ({
  ...(settings.length > 0 && { target: auditText(settings.join(' ')) ?? '' }),
  count: settings.length,
})

/** The last reload of the process; its start counts as one that succeeded. */
export interface LastReload {
  readonly ok: boolean
  /** When the configuration in use was loaded. */
  readonly succeededAtMs: number
  /** What that reload has changed; undefined: it was the start. */
  readonly changes?: ReloadChanges
  /** When it was not done because the database was away: nothing is to be mended but that. */
  readonly awayAtMs?: number | undefined
  /** Why it was refused, and since when all were. */
  readonly refused?: { readonly faults: readonly string[]; readonly sinceMs: number }
}
