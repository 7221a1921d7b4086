import { type Static, Type } from '@sinclair/typebox'
import type { OutcomeCounts } from '../../domain/event-facets.ts'
import type { EventOutcome } from '../../domain/outcome.ts'

const CountSchema = Type.Object({
  count: Type.Integer(),
  more: Type.Boolean({ description: 'There may be more: only so many were counted' }),
})

export const OutcomeCountsSchema = Type.Object({
  succeeded: CountSchema,
  pending: CountSchema,
  failing: CountSchema,
  dead: CountSchema,
  discarded: CountSchema,
  none: CountSchema,
} satisfies Record<EventOutcome, typeof CountSchema>)

export type OutcomeCountsJson = Static<typeof OutcomeCountsSchema>

export const outcomeCountsJson = (counts: OutcomeCounts): OutcomeCountsJson => counts

export const SuggestionsSchema = Type.Object({ items: Type.Array(Type.String()) })
