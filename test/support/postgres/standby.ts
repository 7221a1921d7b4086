import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { type Cluster, configure, createCluster, type Settings } from './cluster.ts'
import { startGuard } from './guard.ts'
import { freePort } from './port.ts'
import { type PostgresServer, serverOf, startEmpty } from './server.ts'

/** A primary whose commits wait for a standby. */
export interface ReplicatedPostgres {
  readonly primary: PostgresServer
  /** While it is down, commits on the primary hang. */
  readonly standby: PostgresServer
  /** Makes the standby a primary of its own, which waits for no other. The old one is not told. */
  promote(): Promise<void>
  /** Resolves when the standby receives what the primary commits, as after it was started again. */
  synchronous(): Promise<void>
  /** Cancels the commits that wait for the standby; gives their number. */
  cancelWaits(): Promise<number>
  /** Idempotent. */
  remove(): Promise<void>
}

const NAME = 'standby'

export async function startWithStandby(settings: Settings = {}): Promise<ReplicatedPostgres> {
  const cluster = await createCluster({ settings: { wal_keep_size: '128MB', ...settings } })
  const primary = await startEmpty(cluster)
  try {
    await primary.stop()
    const standby = serverOf(await copyOf(cluster))
    const pair = pairOf(primary, standby)
    try {
      // After the copy, which waits for no standby.
      configure(cluster.dataDirectory, { synchronous_standby_names: NAME })
      await primary.start()
      await standby.start()
      await pair.synchronous()
      return pair
    } catch (error) {
      await standby.remove()
      throw error
    }
  } catch (error) {
    await primary.remove()
    throw error
  }
}

/** Of a cluster that is stopped, whose standby the copy is. */
async function copyOf({ home, dataDirectory, port, password }: Cluster): Promise<Cluster> {
  const copy = join(home.directory, NAME)
  await home.run('cp', ['-Rp', dataDirectory, copy])
  await home.run('touch', [join(copy, 'standby.signal')])
  configure(copy, {
    primary_conninfo: `host=127.0.0.1 port=${port} user=postgres password=${password} application_name=${NAME}`,
    wal_retrieve_retry_interval: '100ms',
  })
  return { home, dataDirectory: copy, port: await freePort(), password, guard: startGuard(copy) }
}

function pairOf(primary: PostgresServer, standby: PostgresServer): ReplicatedPostgres {
  return {
    primary,
    standby,
    async promote() {
      await standby.query('SELECT pg_promote()')
      await eventually(
        () => standby.query<{ recovers: boolean }>('SELECT pg_is_in_recovery() AS recovers'),
        ([row]) => row?.recovers === false,
      )
    },
    async synchronous() {
      await eventually(
        () => primary.query<{ sync_state: string }>('SELECT sync_state FROM pg_stat_replication'),
        (rows) => rows.some(({ sync_state: state }) => state === 'sync'),
      )
    },
    async cancelWaits() {
      const cancelled = await primary.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
      )
      return cancelled.length
    },
    async remove() {
      await standby.remove()
      await primary.remove()
    },
  }
}
