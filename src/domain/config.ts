import type { AttemptPolicy } from './handler-policy.ts'
import type { RetryPolicy } from './retry-or-dead.ts'
import type { ExpectEvery } from './source-health.ts'

/** How the duplicates of a source are recognized: by the id, or also by the body. */
export const DEDUPE_MODES = ['id', 'body'] as const
export type DedupeMode = (typeof DEDUPE_MODES)[number]

/** One source as the variables `SOURCE_<NAME>_…` describe it. */
export interface SourceConfig {
  readonly name: string
  /** Name of its provider module. */
  readonly provider: string
  /** Newest first; a signature by any of them is valid. */
  readonly secrets: readonly string[]
  /** Event-type patterns; `['*']` when all are accepted. */
  readonly types: readonly string[]
  readonly dedupe: DedupeMode
  /** Paths in the payload whose values are indexed. */
  readonly keys: readonly string[]
  /** Undefined: the provider's module decides. */
  readonly redeliveryReplaysDead: boolean | undefined
  /** The key for its provider's API. */
  readonly apiKey: string | undefined
  /** Replaces the provider's own API URL; without a trailing slash. */
  readonly apiUrl: string | undefined
  readonly expectEvery: ExpectEvery
  /** `SOURCE_<NAME>`, for messages. */
  readonly variable: string
}

/** Which part of the work a process does; other roles than `all` need PostgreSQL. */
export const ROLES = ['all', 'ingest', 'worker'] as const
export type Role = (typeof ROLES)[number]

/** How lines of the log look: JSON for programs; or text for people, without or with colours. */
export type LogStyle = 'json' | 'plain' | 'coloured'

/** The whole configuration, read, defaulted and checked once. Inner code never reads the environment. */
export interface Config {
  readonly publicHost: string
  readonly publicPort: number
  readonly opsHost: string
  readonly opsPort: number
  /** Tokens of the ops listener, newest first; any of them is valid. Without one, the ops listener is on loopback only. */
  readonly opsTokens: readonly string[]
  /** Tokens that read everything on the ops listener and change nothing. */
  readonly opsReadTokens: readonly string[]
  /** Host names under which clients reach the ops listener, besides its own; lower case, without a port. */
  readonly opsAllowedHosts: readonly string[]
  readonly metricsOpen: boolean
  /** Without a trailing slash. */
  readonly publicUrl: string | undefined
  readonly databaseUrl: string
  readonly role: Role
  readonly sources: readonly SourceConfig[]
  /** Present if no source is configured: the file with the secret of source `ai`. The first start makes it. */
  readonly generatedSecretFile?: string
  /** Absolute. */
  readonly handlersDir: string
  /** Absolute. */
  readonly providersDir: string | undefined
  readonly handlerProcesses: number
  /** Attempts that run at once in each process. */
  readonly handlerConcurrency: number
  readonly handlerTimeoutMs: number
  /** Resident size above which a handler process is ended, in MiB. */
  readonly handlerMemoryMb: number
  readonly retry: RetryPolicy
  /** How long after it began a task becomes stale, and how long after it began it expires, unless the caller gives other times. */
  readonly taskMaxWaitMs: number
  readonly taskDeadlineMs: number
  /** How often the poller looks for stale tasks; no task is polled more often. */
  readonly pollIntervalMs: number
  /** Longest body of a webhook. */
  readonly bodyLimitBytes: number
  /** The longest answer to a poll that is stored whole; of a longer one the outline is stored. */
  readonly answerLimitBytes: number
  /** CIDRs. */
  readonly trustProxy: readonly string[]
  readonly requireHttps: boolean
  /** 0: for ever. */
  readonly retentionDays: number
  /** Retention of events with dead deliveries; at least `retentionDays`. 0: for ever. */
  readonly deadRetentionDays: number
  readonly shutdownGraceMs: number
  readonly logLevel: string
  readonly logStyle: LogStyle
}

/** The settings for the attempts of handlers without a policy of their own. */
export const attemptsOf = ({ handlerTimeoutMs, retry }: Config): AttemptPolicy => ({
  timeoutMs: handlerTimeoutMs,
  retry,
})
