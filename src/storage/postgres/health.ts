import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { Connections } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import { faultsOfSession, SESSION, type SessionRow } from './examine.ts'

/** So often it is looked at whether events could be kept, in good times and in bad ones. */
const HEARTBEAT_MS = 2_000
const RECOVERY_MS = 200

/** Without one of them no event is kept. */
const TABLES = ['event', 'event_key', 'event_body', 'body_key', 'delivery', 'tally']

/** Commits a row that changes nothing, and looks at how the server is set now, and whether the tables are there to be written. */
const PROBE = {
  name: 'probe',
  text: `
    WITH written AS (INSERT INTO tally VALUES ('pending', 0)) ${SESSION},
      ARRAY(
        SELECT name FROM unnest($1::text[]) AS name
        WHERE NOT coalesce(has_table_privilege(to_regclass(name), 'INSERT'), false)
      ) AS closed
  `,
}

interface ProbeRow extends SessionRow {
  readonly closed: readonly string[]
}

/**
 * Whether events can be kept now, and if not, why. An error alone is no fault: a connection that broke is made anew. A
 * fault is what a probe meets; while there is one, nothing is tried in vain, and the probe finds out when it is over.
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

  /** `onChange` hears of each that is new; undefined: it is over. */
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

  /** Something failed that may be the place's fault. */
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
    this.#probing ??= this.#look().finally(() => {
      this.#probing = undefined
      this.#schedule()
    })
    return this.#probing
  }

  async #look(): Promise<void> {
    try {
      const askedAtMs = performance.now()
      const [found] = await this.#connections.run<ProbeRow>('probe', PROBE, [TABLES])
      if (found !== undefined) this.#clock.heard(found.now, askedAtMs)
      this.#set([...faultsOfSession(found), ...faultsOfTables(found?.closed ?? [])])
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
      // What it is that is wrong may change, but it is one outage.
      this.#log(before.length === 0 ? 'error' : 'info', `the store refuses events: ${fault}`)
      this.#onChange(fault)
    }
  }

  #schedule(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#probe(), this.#faults.length > 0 ? RECOVERY_MS : HEARTBEAT_MS)
  }
}

const faultsOfTables = (closed: readonly string[]): readonly string[] =>
  closed.length === 0
    ? []
    : [
        `the database cannot be written: ${closed.join(', ')} is missing from its schema, or its role may not write there`,
      ]
