import type { StatPosition } from '../../domain/stat-store.ts'

/** Before every row. */
export const FROM_FIRST_STAT: StatPosition = { atMs: Number.MIN_SAFE_INTEGER, source: '', writer: '' }
