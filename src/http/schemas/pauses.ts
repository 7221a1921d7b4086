import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import type { Pause } from '../../domain/pause.ts'
import { Nullable, Time } from './schema.ts'

export const PausedSchema = Nullable(
  Type.Object({
    since: Time(),
    by: Type.String({ description: 'The name that the client gave itself, or by which right it asked' }),
    reason: Nullable(Type.String()),
  }),
  'Its deliveries wait; null: it is not paused',
)

export const pausedJson = (pause: Pause | undefined): Static<typeof PausedSchema> =>
  pause === undefined ? null : { since: toIso(pause.sinceMs), by: pause.by, reason: pause.reason ?? null }

/** A handler or a source after a change. */
export const PauseStateSchema = Type.Object({ name: Type.String(), paused: PausedSchema })
export type PauseStateJson = Static<typeof PauseStateSchema>

export const DrainSchema = Type.Object({
  draining: Type.Boolean({
    description: 'This process claims no deliveries, tasks and replays. It forgets that when it ends',
  }),
})
export type DrainJson = Static<typeof DrainSchema>
