import type { Pause } from '../../domain/pause.ts'

export type PauseRow = Readonly<{
  kind: Pause['kind']
  name: string
  since: number
  paused_by: string
  reason: string | null
}>

export const pauseOf = ({ kind, name, since, paused_by, reason }: PauseRow): Pause => ({
  kind,
  name,
  sinceMs: since,
  by: paused_by,
  ...(reason !== null && { reason }),
})

/** Sources with held deliveries that are not paused, found by one index search for each source with held deliveries. */
export const HELD_SOURCES = `
  WITH RECURSIVE held (source) AS (
    SELECT min(held_for) FROM delivery WHERE state = 'pending' AND held_for IS NOT NULL
    UNION ALL
    SELECT (SELECT min(held_for) FROM delivery WHERE state = 'pending' AND held_for IS NOT NULL AND held_for > held.source)
    FROM held WHERE held.source IS NOT NULL
  )
  SELECT source FROM held WHERE source IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM pause WHERE pause.kind = 'source' AND pause.name = held.source) LIMIT 1
`
