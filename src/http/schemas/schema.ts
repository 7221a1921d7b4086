import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import type { Page } from '../../domain/page.ts'

/** One of these words. */
export const OneOf = <const Word extends string>(words: readonly Word[], description?: string) =>
  Type.Unsafe<Word>({ type: 'string', enum: words, ...(description !== undefined && { description }) })

/** A short text of a request. */
export const Text = (description: string) => Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH, description })

/** An RFC 3339 time. */
export const Time = (description?: string) =>
  Type.String({ format: 'date-time', ...(description !== undefined && { description }) })

export const Nullable = <Schema extends TSchema>(schema: Schema, description?: string) =>
  Type.Union([schema, Type.Null()], description === undefined ? {} : { description })

export const isoOrNull = (ms: number | null | undefined): string | null =>
  ms === null || ms === undefined ? null : toIso(ms)

/** One page of a list. `next_cursor` asks for the next page; null: there is none. */
export const PageOf = <Item extends TSchema>(item: Item) =>
  Type.Object({ items: Type.Array(item), next_cursor: Nullable(Type.String()) })

export type PageJson<Item> = Static<ReturnType<typeof PageOf<TSchema & { static: Item }>>>

export const pageJson = <Item, Json>(
  { items, nextCursor }: Page<Item>,
  itemJson: (item: Item) => Json,
): PageJson<Json> => ({ items: items.map(itemJson), next_cursor: nextCursor ?? null })

/** RFC 9457, the answer to every request that is refused or fails. */
export const ProblemSchema = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.Optional(Type.String()),
  reasons: Type.Optional(Type.Array(Type.String(), { description: 'Every reason, if there are several' })),
})
export type ProblemJson = Static<typeof ProblemSchema>
