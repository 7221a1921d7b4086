import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { faultsOfServer, SERVER_SETTINGS, type ServerSettings } from './server-settings.ts'

/** Pause between two probes, without a fault and with one. */
const PROBE_INTERVAL_MS = 2_000
const RECOVERY_INTERVAL_MS = 200

/** Tables that every append writes. */
const TABLES = ['event', 'event_key', 'event_body', 'body_key', 'delivery', 'tally']

/** Commits a row that changes nothing, and reads the server's settings and which tables cannot be written. */
const PROBE = {
  name: 'probe',
  text: `
    WITH written AS (INSERT INTO tally VALUES ('pending', 0)) ${SERVER_SETTINGS},
      ARRAY(
        SELECT name FROM unnest($1::text[]) AS name
        WHERE NOT coalesce(has_table_privilege(to_regclass(name), 'INSERT'), false)
      ) AS closed
  `,
}

interface ProbeRow extends ServerSettings {
  readonly closed: readonly string[]
}

/**
 * Whether events can be stored now, and if not, why. A failed statement alone is no fault: a broken connection is replaced.
 * Only a probe finds faults. While there is a fault, the store refuses events without trying to store them, and probes find out
 * when the fault is over.
 */
export class Health {
  readonly #connections: Connections
  readonly #clock: DatabaseClock
  readonly #log: StoreLog
  readonly #onChange: (fault: string | undefined) => void
  #faults: readonly string[] = []
  #timer: NodeJS.Timeout | undefined
  #probing: Promise<void> | undefined
  #stopped = false

  /** `onChange` is called with each new fault, and with undefined when there is none any more. */
  constructor(
    connections: Connections,
    clock: DatabaseClock,
    log: StoreLog,
    onChange: (fault: string | undefined) => void,
  ) {
    this.#connections = connections
    this.#clock = clock
    this.#log = log
    this.#onChange = onChange
    this.#schedule()
  }

  faults = (): readonly string[] => this.#faults

  /** Says that a statement failed, perhaps through the fault of the server: probes at once. */
  suspect(): void {
    void this.#probe()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#probing
  }

  #probe(): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    clearTimeout(this.#timer)
    this.#probing ??= this.#check().finally(() => {
      this.#probing = undefined
      this.#schedule()
    })
    return this.#probing
  }

  async #check(): Promise<void> {
    try {
      const askedAtMs = performance.now()
      const [found] = await this.#connections.run<ProbeRow>('probe', PROBE, [TABLES])
      if (found !== undefined) this.#clock.observe(found.now, askedAtMs)
      this.#set([...faultsOfServer(found), ...faultsOfTables(found?.closed ?? [])])
    } catch (error) {
      this.#set([`the database cannot be written: ${messageOf(error)}`])
    }
  }

  #set(faults: readonly string[]): void {
    const before = this.#faults
    this.#faults = faults
    if (this.#stopped || faults.join() === before.join()) return
    if (faults.length === 0) {
      this.#log('info', 'the store takes events again')
      this.#onChange(undefined)
    }
    for (const fault of faults) {
      // The fault may change during an outage: only the first fault is logged as an error.
      this.#log(before.length === 0 ? 'error' : 'info', `the store refuses events: ${fault}`)
      this.#onChange(fault)
    }
  }

  #schedule(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => void this.#probe(),
      this.#faults.length > 0 ? RECOVERY_INTERVAL_MS : PROBE_INTERVAL_MS,
    )
  }
}

const faultsOfTables = (closed: readonly string[]): readonly string[] =>
  closed.length === 0
    ? []
    : [
        `the database cannot be written: ${closed.join(', ')} is missing from its schema, or its role may not write there`,
      ]
