import { hash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { SecretUse } from '../domain/source.ts'

/** How often the log says that an older secret still verifies. */
const REMINDER_MS = 3_600_000

interface Counted {
  readonly sinceMs: number
  verified: number
  lastVerifiedAtMs: number | undefined
  toldAtMs: number
}

/** A source with its secrets, the newest first. */
interface Secrets {
  readonly name: string
  readonly secrets: readonly string[]
}

/** Counts for the secrets of one configuration. */
export interface SecretUses {
  /** `place`: of the secret that verified a webhook, from 1. */
  readonly verified: (source: string, place: number, atMs: number) => void
  /** How many secrets the source has. */
  readonly countOf: (source: string) => number
  /** By place. */
  readonly usesOf: (source: string) => readonly SecretUse[]
}

/**
 * Counts which secret of a source verifies its webhooks, so that an operator knows when an old one can go. A secret keeps its count when
 * a reload gives it another place. The counts begin with the process, and each process counts what it receives itself.
 */
export class SecretCounts {
  readonly #clock: Clock
  readonly #log: Logger
  /** Source → SHA-256 of a secret → its count. */
  #known: ReadonlyMap<string, ReadonlyMap<string, Counted>> = new Map()

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock
    this.#log = log
  }

  /** From now on, these are the secrets. Others are forgotten. */
  of(sources: readonly Secrets[]): SecretUses {
    const counts = new Map<string, Map<string, Counted>>()
    const byPlace = new Map<string, readonly Counted[]>()
    const sinceMs = this.#clock()
    for (const { name, secrets } of sources) {
      const own = new Map<string, Counted>()
      const fresh = (): Counted => ({ sinceMs, verified: 0, lastVerifiedAtMs: undefined, toldAtMs: 0 })
      const places = secrets.map((secret) => {
        const digest = hash('sha256', secret)
        const count = own.get(digest) ?? this.#known.get(name)?.get(digest) ?? fresh()
        own.set(digest, count)
        return count
      })
      counts.set(name, own)
      byPlace.set(name, places)
    }
    this.#known = counts
    return {
      verified: (source, place, atMs) => {
        const places = byPlace.get(source)
        const count = places?.[place - 1]
        if (places === undefined || count === undefined) return
        count.verified++
        count.lastVerifiedAtMs = atMs
        if (places.length > 1) this.#tell(source, place, count, atMs)
      },
      countOf: (source) => byPlace.get(source)?.length ?? 0,
      usesOf: (source) => (byPlace.get(source) ?? []).map(useOf),
    }
  }

  #tell(source: string, place: number, count: Counted, atMs: number): void {
    if (count.verified > 1 && (place === 1 || atMs - count.toldAtMs < REMINDER_MS)) return
    count.toldAtMs = atMs
    this.#log.info(
      { source, secret: place, verified: count.verified },
      place === 1 ? 'the newest secret verifies' : 'an older secret still verifies',
    )
  }
}

const useOf = ({ sinceMs, verified, lastVerifiedAtMs }: Counted, at: number): SecretUse => ({
  place: at + 1,
  verified,
  lastVerifiedAtMs,
  sinceMs,
})
