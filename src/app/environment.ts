import { hash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { DAY_MS, durationMs } from '../domain/clock.ts'
import type { SettingOrigin } from '../domain/configuration.ts'
import { ConfigurationError, messageOf } from '../domain/errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

interface Origins {
  /** The path of `.env`, and the names of the variables that it gave. */
  readonly path?: string
  readonly names?: ReadonlySet<string>
  /** The names of variables that nothing sets. */
  readonly defaults?: ReadonlySet<string>
}

const ORIGINS = new WeakMap<Environment, Origins>()

/** The environment, with variables that count if it does not set them. */
export function completed(environment: Environment, defaults: Environment): Environment {
  const names = Object.keys(defaults).filter((name) => environment[name] === undefined)
  return withOrigins({ ...defaults, ...environment }, { ...ORIGINS.get(environment), defaults: new Set(names) })
}

/** The environment with other values of some variables, which come from where they came from before. */
export const replaced = (environment: Environment, values: Environment): Environment =>
  withOrigins({ ...environment, ...values }, ORIGINS.get(environment) ?? {})

function withOrigins(environment: Environment, origins: Origins): Environment {
  ORIGINS.set(environment, origins)
  return environment
}

const FILE = '.env'

/**
 * The process's environment, completed by the variables of the file `.env` if there is one. If both set a variable, the
 * environment's value counts, also where one of them sets `X` and the other `X_FILE`. No other file reads the environment. Throws
 * `ConfigurationError` if `.env` exists and cannot be read.
 */
export const readEnvironment = (own: Environment = process.env, path = FILE): Environment =>
  settingsOf(own, readFile(path), path)

/** As `readEnvironment`, for a service that reads it again: a `.env` that was there and is gone is a fault, as all its settings would be gone. */
export function environmentReader(own: Environment = process.env, path = FILE): () => Environment {
  let wasThere = false
  return () => {
    const isThere = existsSync(path)
    if (wasThere && !isThere) throw new ConfigurationError(['.env is gone: put it back, or an empty one'])
    wasThere = isThere
    return readEnvironment(own, path)
  }
}

/**
 * As `readEnvironment`, for a command that asks the running service: if the environment has a token, it is the one that is used,
 * whatever tokens `.env` has. Then a `.env` that only the service may read is no fault.
 */
export function readClientEnvironment(own: Environment = process.env, path = FILE): Environment {
  const hasToken = TOKEN_VARIABLES.some((name) => isSet(own[name]))
  if (!hasToken) return readEnvironment(own, path)
  try {
    return settingsOf(own, without(readFile(path), TOKEN_VARIABLES), path)
  } catch {
    return own
  }
}

const TOKEN_VARIABLES = ['OPS_TOKEN', 'OPS_TOKEN_FILE', 'OPS_READ_TOKEN', 'OPS_READ_TOKEN_FILE']

/** The environment of the processes and threads that run users' modules: with the variables of `.env`. */
export const inheritedEnvironment = (): Environment => ({ ...readFile(FILE), ...process.env })

/** Adds the variables of `.env` to the environment of this process itself, which is about to run users' modules. */
export function addEnvironmentFile(): void {
  Object.assign(process.env, inheritedEnvironment())
}

function readFile(path: string): Environment {
  try {
    // Some editors begin a file with a byte order mark, which would hide the first variable.
    return parseEnv(readFileSync(path, 'utf8').replace(/^\ufeff/, ''))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new ConfigurationError([`.env cannot be read: ${messageOf(error)}`])
  }
}

function settingsOf(own: Environment, file: Environment, path: string): Environment {
  const names = Object.keys(own).filter((name) => isSet(own[name]))
  const others = names.map((name) => (name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : `${name}_FILE`))
  const kept = without(file, others)
  const given = Object.keys(kept).filter((name) => own[name] === undefined)
  return withOrigins({ ...kept, ...own }, { path: resolve(path), names: new Set(given) })
}

const isSet = (value: string | undefined): boolean => value !== undefined && value !== ''

const without = (variables: Environment, names: readonly string[]): Environment =>
  Object.fromEntries(Object.entries(variables).filter(([name]) => !names.includes(name)))

/** A setting that was asked for, with what was found. */
export interface GivenSetting {
  readonly name: string
  readonly from: SettingOrigin
  /** The path of the file that `X_FILE` names, or of `.env`. */
  readonly file?: string
  /** As it was given, or else the default. May be secret. */
  readonly value: string | undefined
  /** When the file was last written. */
  readonly changedAtMs?: number
}

const MIN_DURATION_MS = 60_000
const MAX_DURATION_MS = 366 * DAY_MS

/** Reads variables by type and collects all faults and warnings. An empty variable counts as not set, except a list of secrets. */
export class EnvironmentReader {
  readonly faults: string[] = []
  readonly warnings: string[] = []
  /** All names that were asked for: the names of the settings that there are. */
  readonly settings = new Set<string>()
  /** Each setting that is set → SHA-256 of its value, which may be secret. */
  readonly digests = new Map<string, string>()
  /** The absolute paths of the files that variables `X_FILE` name. */
  readonly files = new Set<string>()
  /** By name. */
  readonly given = new Map<string, GivenSetting>()
  readonly #environment: Environment

  constructor(environment: Environment) {
    this.#environment = environment
  }

  fault(sentence: string): void {
    if (!this.faults.includes(sentence)) this.faults.push(sentence)
  }

  warn(sentence: string): void {
    this.warnings.push(sentence)
  }

  /** Whether any variable is set that has this name, or a name that begins with `<prefix>_`. */
  names(prefix: string): boolean {
    return Object.entries(this.#environment).some(
      ([name, value]) => value !== undefined && (name === prefix || name.startsWith(`${prefix}_`)),
    )
  }

  /** The variable's value, or the content of the file that the variable `<name>_FILE` names, without the last line end. */
  #raw(name: string): string | undefined {
    this.settings.add(name)
    const value = this.#valueOrFile(name)
    if (value !== undefined) this.digests.set(name, hash('sha256', value))
    this.given.set(name, this.#givenOf(name, value))
    return value
  }

  #givenOf(name: string, value: string | undefined): GivenSetting {
    if (value === undefined || value.trim() === '') return { name, from: 'default', value: undefined }
    const file = this.#environment[`${name}_FILE`]
    if (file !== undefined && file !== '') return ofFile(name, file, value)
    const { path, names, defaults } = ORIGINS.get(this.#environment) ?? {}
    if (defaults?.has(name) === true) return { name, from: 'default', value: value.trim() }
    if (path !== undefined && names?.has(name) === true) return { name, from: '.env', file: path, value: value.trim() }
    return { name, from: 'environment', value: value.trim() }
  }

  /** Says what is used if the setting is not set. */
  otherwise(name: string, value: string): void {
    const given = this.given.get(name)
    if (given === undefined || given.from === 'default') this.given.set(name, { name, from: 'default', value })
  }

  /** Says what the value stands for, where that tells more than the value itself. */
  means(name: string, value: string): void {
    const given = this.given.get(name)
    if (given !== undefined) this.given.set(name, { ...given, value })
  }

  /** Says that the value came from a file that no variable names. */
  readFrom(file: string, name: string, value: string): void {
    this.given.set(name, ofFile(name, file, value))
  }

  #valueOrFile(name: string): string | undefined {
    const value = this.#environment[name]
    const file = this.#environment[`${name}_FILE`]
    if (file === undefined || file === '') return value
    if (value !== undefined && value !== '') this.fault(`${name} and ${name}_FILE are both set: keep one`)
    this.files.add(resolve(file))
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    } catch (error) {
      // The error's message would show the path, and an operator may have put the secret itself into X_FILE.
      this.fault(`${name}_FILE cannot be read: ${(error as NodeJS.ErrnoException).code}`)
      return undefined
    }
  }

  text(name: string): string | undefined
  text(name: string, fallback: string): string
  text(name: string, fallback?: string): string | undefined {
    const value = this.#raw(name)?.trim()
    if (value !== undefined && value !== '') return value
    if (fallback !== undefined) this.otherwise(name, fallback)
    return fallback
  }

  list(name: string): readonly string[] | undefined {
    return this.text(name) === undefined ? undefined : this.secrets(name)
  }

  /** A list with its empty items, so that the caller can refuse them. */
  secrets(name: string): readonly string[] | undefined {
    return this.#raw(name)
      ?.split(',')
      .map((item) => item.trim())
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.text(name)
    this.otherwise(name, String(fallback))
    if (text === undefined) return fallback
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    this.fault(`${name} is ${text}, not a whole number from ${min} to ${max}`)
    return fallback
  }

  /** A time as `90s`, `15m`, `1h` or `7d`, in ms; or one of the words. */
  duration<Word extends string>(name: string, words: readonly Word[]): number | Word | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const word = words.find((each) => each === text)
    if (word !== undefined) return word
    const ms = durationMs(text) ?? Number.NaN
    if (ms >= MIN_DURATION_MS && ms <= MAX_DURATION_MS) return ms
    this.fault(
      `${name} is ${text}, not a time from a minute to a year (30m, 1h, 7d)${words.map((each) => ` or ${each}`).join('')}`,
    )
    return undefined
  }

  flag(name: string): boolean {
    const value = this.optionalFlag(name)
    this.otherwise(name, 'false')
    return value ?? false
  }

  optionalFlag(name: string): boolean | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    if (text !== 'true' && text !== 'false') this.fault(`${name} is ${text}, not true or false`)
    return text === 'true'
  }

  /** One of these words; the first if the variable is not set. */
  word<Word extends string>(name: string, words: readonly [Word, ...Word[]]): Word {
    const text: string = this.text(name, words[0])
    const found = words.find((word) => word === text)
    if (found === undefined) this.fault(`${name} is ${text}, not ${words.join(' or ')}`)
    return found ?? words[0]
  }

  url(name: string): string | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const url = URL.parse(text)
    const isPlain = url !== null && `${url.username}${url.password}` === '' && !/[\s?#]/.test(text)
    if (isPlain && /^https?:$/.test(url.protocol)) return text.replace(/\/+$/, '')
    this.fault(`${name} is not an http(s) URL without credentials and query`)
    return undefined
  }
}

function ofFile(name: string, file: string, value: string): GivenSetting {
  const path = resolve(file)
  const changedAtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return { name, from: 'file', file: path, value: value.trim(), ...(changedAtMs !== undefined && { changedAtMs }) }
}
