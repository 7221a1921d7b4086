import type { LastReload } from './reload.ts'

/** Where the value of a setting came from: nothing sets it; a variable of the process; the file `.env`; a file that `X_FILE` names. */
export type SettingOrigin = 'default' | 'environment' | '.env' | 'file'

/** A setting with the value that the process uses. Never holds a secret, or a part of one. */
export interface SettingInForce {
  readonly name: string
  /** The title of its group. */
  readonly group: string
  /** Of a setting of a source: the source. */
  readonly source?: string
  readonly meaning: string
  readonly from: SettingOrigin
  /** The path, if the value came from a file. */
  readonly file?: string
  /** As it is written in the environment, and of a folder of modules its whole path; undefined: there is none, or it is secret. */
  readonly value: string | undefined
  /** Of a secret setting. */
  readonly secret?: {
    /** 0: it is not set. */
    readonly count: number
    /** When its file was last written; undefined: not known. */
    readonly changedAtMs: number | undefined
  }
  /** Whether only a restart can change it. */
  readonly isFixed: boolean
}

/** The configuration in use, and what became of later ones. */
export interface Configuration {
  readonly settings: readonly SettingInForce[]
  /** Settings that have another value now than at the start, as the last reload has seen. */
  readonly needRestart: readonly string[]
  readonly warnings: readonly string[]
  readonly lastReload: LastReload
}
