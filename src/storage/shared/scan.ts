import type { EventFilter } from '../../domain/event-filter.ts'
import type { PageRows, Position } from './list-pages.ts'

/** How long one scan of payloads may take; then its page ends, with a cursor. */
const SCAN_MS = 2_000
/** How long a search by the index of payloads may delay lists. */
export const INDEXED_MS = 300
/** Candidates that an index gives a scan at once. */
export const MAX_CANDIDATES = 500
/** The same of the index of payloads, nearly all of which match. */
export const MAX_INDEXED = 64

/** Rows that a scan has found. */
export interface ScannedRows extends PageRows<Position> {
  /** The time of receipt of the last event that was read, if the time ended before the list. */
  readonly scannedUntilMs?: number | undefined
}

export const scannedUntil = ({ scannedUntilMs }: ScannedRows): { readonly scannedUntilMs?: number } =>
  scannedUntilMs === undefined ? {} : { scannedUntilMs }

/** Whether bodies have to be read to find what the filter means. */
export const isScan = ({ contains, match = [] }: EventFilter): boolean => contains !== undefined || match.length > 0

export class ScanClock {
  readonly #endsAtMs: number

  constructor(scanMs = SCAN_MS) {
    this.#endsAtMs = performance.now() + scanMs
  }

  isOver = (): boolean => performance.now() >= this.#endsAtMs
}

/** An event whose body is to be read. */
export interface Candidate {
  readonly position: Position
  readonly receivedAtMs: number
  readonly size: number
}

/** Bytes of bodies that are read at once; a longer body is read alone. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024

export function* scanBatches(found: readonly Candidate[]): Generator<readonly Candidate[]> {
  let batch: Candidate[] = []
  let bytes = 0
  for (const candidate of found) {
    if (batch.length > 0 && bytes + candidate.size > MAX_BATCH_BYTES) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(candidate)
    bytes += candidate.size
  }
  if (batch.length > 0) yield batch
}

/** Scans that may wait for the thread that scans, with the one that it runs. */
export const MAX_WAITING_SCANS = 8
export const TOO_MANY_SCANS = 'too many searches in payloads are waiting: try again in some seconds'
