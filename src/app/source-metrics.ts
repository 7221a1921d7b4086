import { Gauge, type Registry } from '@prometheus-io/client'
import { ROLES, type Role } from '../domain/config.ts'
import type { BreakerState } from '../domain/source.ts'
import type { SourceHealth } from '../domain/source-health.ts'
import type { StoreSize } from '../domain/store-health.ts'

export interface WatchedSource {
  readonly source: string
  readonly health: SourceHealth
  /** Null: its provider cannot be called. */
  readonly breaker: BreakerState | null
}

/** Whether the webhooks of each source come and are accepted. */
export function sourceGauges(registers: Registry[], healths: () => readonly WatchedSource[]): void {
  const gauge = (name: string, help: string, value: (source: WatchedSource) => number | undefined): void => {
    new Gauge({
      name: `holdfast_${name}`,
      help,
      labelNames: ['source'],
      registers,
      collect() {
        this.reset()
        for (const each of healths()) {
          const found = value(each)
          if (found !== undefined) this.set({ source: each.source }, found)
        }
      },
    })
  }
  gauge(
    'source_last_event_timestamp_seconds',
    'When the last authentic webhook of a source came, to any replica; absent: never.',
    ({ health: { lastWebhookAtMs } }) => (lastWebhookAtMs === undefined ? undefined : lastWebhookAtMs / 1000),
  )
  gauge(
    'source_silent',
    '1 while a source has been silent for longer than usual, or than EXPECT_EVERY says; otherwise 0.',
    ({ health: { silentSinceMs } }) => (silentSinceMs === undefined ? 0 : 1),
  )
  gauge(
    'source_refusing',
    '1 while requests to a source are refused for their signatures, and none or hardly any is accepted; otherwise 0.',
    ({ health: { refusingSinceMs } }) => (refusingSinceMs === undefined ? 0 : 1),
  )
  gauge(
    'breaker_open',
    '1 while the circuit breaker of the calls to the provider of a source is open, or lets one call through to try; otherwise 0.',
    ({ breaker }) => (breaker === null ? undefined : breaker === 'closed' ? 0 : 1),
  )
}

/** How many processes run. The caller awaits the returned function before each scrape. */
export function replicaGauge(
  registers: Registry[],
  roles: () => Promise<ReadonlyMap<Role, number>>,
): () => Promise<void> {
  const replicas = new Gauge({
    name: 'holdfast_replicas',
    help: 'Running processes that share the database, by role.',
    labelNames: ['role'],
    registers,
  })
  return async () => {
    const found = await roles().catch(() => undefined)
    replicas.reset()
    if (found !== undefined) for (const role of ROLES) replicas.set({ role }, found.get(role) ?? 0)
  }
}

/** The size of the store. The caller awaits the returned function before each scrape; a size that is not known is left out. */
export function sizeGauges(registers: Registry[], sizeOf: () => Promise<StoreSize>): () => Promise<void> {
  const bytes = new Gauge({
    name: 'holdfast_store_bytes',
    help: 'Size of the database; with SQLite including its log.',
    registers,
  })
  const free = new Gauge({
    name: 'holdfast_store_free_bytes',
    help: 'Free space on the disk of the database. Not known with PostgreSQL.',
    registers,
  })
  return async () => {
    const size = await sizeOf().catch(() => undefined)
    if (size === undefined) bytes.remove()
    else bytes.set(size.bytes)
    if (size?.freeBytes === undefined) free.remove()
    else free.set(size.freeBytes)
  }
}
