import type { AttemptCause } from '../../domain/cause.ts'
import type { Settlement } from '../../domain/delivery.ts'

/** Causes that one process remembers. */
const MAX_REMEMBERED = 10_000
/** A cause is recorded again after this time, so that the store knows it is still seen. */
const REMEMBERED_MS = 3_600_000

type Keys = ReadonlyMap<Settlement, number>
const NONE: Keys = new Map()

interface Remembered {
  readonly key: number
  readonly atMs: number
}

/** The keys of the causes of deaths. A cause that this process has met costs the store nothing. */
export class CauseKeys {
  readonly #record: (causes: readonly AttemptCause[]) => Promise<readonly number[]>
  readonly #monotonicMs: () => number
  readonly #remembered = new Map<string, Remembered>()

  constructor(
    record: (causes: readonly AttemptCause[]) => Promise<readonly number[]>,
    monotonicMs: () => number = () => performance.now(),
  ) {
    this.#record = record
    this.#monotonicMs = monotonicMs
  }

  /** Undefined if a cause has to be recorded first. */
  known(settlements: readonly Settlement[]): Keys | undefined {
    if (settlements.every(({ verdict }) => verdict !== 'dead')) return NONE
    const keys = new Map<Settlement, number>()
    for (const settlement of settlements) {
      const cause = causeOfDeath(settlement)
      if (cause === undefined) continue
      const key = this.#keyOf(cause)
      if (key === undefined) return undefined
      keys.set(settlement, key)
    }
    return keys
  }

  /** Records the causes that are not known. A death whose cause cannot be recorded is settled without one: it gets it later. */
  async record(settlements: readonly Settlement[]): Promise<Keys> {
    const causes = settlements.flatMap((each) => causeOfDeath(each) ?? [])
    await this.keysOf(causes).catch(() => {})
    return new Map(
      settlements.flatMap((settlement) => {
        const cause = causeOfDeath(settlement)
        const key = cause && this.#keyOf(cause)
        return key === undefined ? [] : [[settlement, key] as const]
      }),
    )
  }

  /** The keys of causes. Records those that are not known, each once. */
  async keysOf(causes: readonly AttemptCause[]): Promise<readonly number[]> {
    const keys = new Map<string, number>()
    const unknown = new Map<string, AttemptCause>()
    for (const cause of causes) {
      const key = this.#keyOf(cause)
      if (key === undefined) unknown.set(nameOf(cause), cause)
      else keys.set(nameOf(cause), key)
    }
    const recorded = unknown.size === 0 ? [] : await this.#record([...unknown.values()])
    for (const [at, name] of [...unknown.keys()].entries()) {
      const key = recorded[at]
      if (key === undefined) throw new Error('the store returned no key of a cause')
      keys.set(name, key)
      this.#remember(name, key)
    }
    return causes.flatMap((cause) => keys.get(nameOf(cause)) ?? [])
  }

  #remember(name: string, key: number): void {
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size < MAX_REMEMBERED) break
      this.#remembered.delete(oldest)
    }
    this.#remembered.set(name, { key, atMs: this.#monotonicMs() })
  }

  #keyOf(cause: AttemptCause): number | undefined {
    const found = this.#remembered.get(nameOf(cause))
    return found === undefined || this.#monotonicMs() - found.atMs > REMEMBERED_MS ? undefined : found.key
  }
}

const causeOfDeath = ({ verdict, cause }: Settlement): AttemptCause | undefined =>
  verdict === 'dead' ? cause : undefined

const nameOf = ({ id, handler, source }: AttemptCause): string => `${id} ${source} ${handler}`
