import type { RetryPolicy } from './retry.ts'

/** One source as the environment describes it; `SOURCE_<NAME>_…`. */
export interface SourceConfig {
  readonly name: string
  /** Name of its provider module. */
  readonly provider: string
  /** Newest first; each verifies. */
  readonly secrets: readonly string[]
  /** Event-type patterns; `['*']` when all are accepted. */
  readonly types: readonly string[]
  readonly dedupe: 'id' | 'body'
  /** Undefined: as its provider's module says. */
  readonly redeliveryReplaysDead: boolean | undefined
  /** For its provider's API. */
  readonly apiKey: string | undefined
  /** In place of its provider's own; without a trailing slash. */
  readonly apiUrl: string | undefined
  /** `SOURCE_<NAME>`, for messages. */
  readonly variable: string
}

/** What a process does of what there is to do; only with PostgreSQL is it anything but `all`. */
export const ROLES = ['all', 'ingest', 'worker'] as const
export type Role = (typeof ROLES)[number]

/** The whole configuration, read, defaulted and checked once. Inner code never reads the environment. */
export interface Config {
  readonly publicHost: string
  readonly publicPort: number
  readonly opsHost: string
  readonly opsPort: number
  readonly opsToken: string | undefined
  readonly metricsOpen: boolean
  /** Without a trailing slash. */
  readonly publicUrl: string | undefined
  readonly databaseUrl: string
  readonly role: Role
  readonly sources: readonly SourceConfig[]
  /** Set when nothing is configured: where the secret of source `ai` is kept, made on the first start. */
  readonly generatedSecretFile?: string
  /** Absolute. */
  readonly handlersDir: string
  /** Absolute. */
  readonly providersDir: string | undefined
  readonly handlerProcesses: number
  /** In each process. */
  readonly handlerConcurrency: number
  readonly handlerTimeoutMs: number
  /** Resident size past which a handler process is ended, in MiB. */
  readonly handlerMemoryMb: number
  readonly retry: RetryPolicy
  /** When a task is stale and when it expires, counted from its beginning, unless its owner says otherwise. */
  readonly taskMaxWaitMs: number
  readonly taskDeadlineMs: number
  /** How often stale tasks are looked for; no task is asked for more often. */
  readonly pollIntervalMs: number
  /** Of a webhook. */
  readonly bodyLimitBytes: number
  /** Of a provider's answer to a poll, kept whole. */
  readonly answerLimitBytes: number
  /** CIDRs. */
  readonly trustProxy: readonly string[]
  readonly requireHttps: boolean
  /** 0: for ever. */
  readonly retentionDays: number
  /** Of events with dead deliveries; never less than `retentionDays`. 0: for ever. */
  readonly deadRetentionDays: number
  readonly shutdownGraceMs: number
  readonly logLevel: string
}
