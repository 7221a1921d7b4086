import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { DRIFT_CHANGES, type DriftEntry } from '../../domain/drift-store.ts'
import { OneOf, Time } from './schema.ts'

export const DriftSchema = Type.Object({
  source: Type.String(),
  type: Type.String(),
  path: Type.String({
    description: '`[]`: all elements of an array; `*`: all keys of an object that is used as a map; empty: the payload',
  }),
  what: OneOf(DRIFT_CHANGES),
  from: Type.Optional(Type.String({ description: 'The kinds of values before, as `number|string`' })),
  to: Type.Optional(Type.String({ description: 'The kinds of values now' })),
  at: Time('When the event was received that showed the change beyond doubt'),
  event_uid: Type.String({ description: 'This event' }),
})

export type DriftJson = Static<typeof DriftSchema>

export const driftJson = ({ atMs, event, ...same }: DriftEntry): DriftJson => ({
  ...same,
  at: toIso(atMs),
  event_uid: event,
})
