import { Gauge, type Registry } from '@prometheus-io/client'
import type { SourceHealth } from '../domain/source-health.ts'
import type { StoreSize } from '../domain/store-health.ts'

/** Whether the webhooks of each source come and are accepted. */
export function sourceGauges(
  registers: Registry[],
  healths: () => readonly { readonly source: string; readonly health: SourceHealth }[],
): void {
  const gauge = (name: string, help: string, value: (health: SourceHealth) => number | undefined): void => {
    new Gauge({
      name: `holdfast_source_${name}`,
      help,
      labelNames: ['source'],
      registers,
      collect() {
        this.reset()
        for (const { source, health } of healths()) {
          const found = value(health)
          if (found !== undefined) this.set({ source }, found)
        }
      },
    })
  }
  gauge(
    'last_event_timestamp_seconds',
    'When the last authentic webhook of a source came, to any replica; absent: never.',
    ({ lastWebhookAtMs }) => (lastWebhookAtMs === undefined ? undefined : lastWebhookAtMs / 1000),
  )
  gauge(
    'silent',
    '1 while a source has been silent for longer than usual, or than EXPECT_EVERY says; otherwise 0.',
    ({ silentSinceMs }) => (silentSinceMs === undefined ? 0 : 1),
  )
  gauge(
    'refusing',
    '1 while requests to a source are refused for their signatures, and none or hardly any is accepted; otherwise 0.',
    ({ refusingSinceMs }) => (refusingSinceMs === undefined ? 0 : 1),
  )
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
