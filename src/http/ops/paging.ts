import { type TSchema, Type } from '@sinclair/typebox'
import type { preValidationHookHandler } from 'fastify'
import { DEFAULT_PAGE_SIZE, MAX_NAME_LENGTH, MAX_PAGE_SIZE } from '../../domain/limits.ts'
import type { Page, PageRequest } from '../../domain/page.ts'

/** Characters of a cursor. */
const MAX_CURSOR_LENGTH = 512

/** A query parameter that takes any short text. */
export const Text = (description: string) => Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH, description })

/** A query parameter that takes one of these words. */
export const OneOf = <const Word extends string>(words: readonly Word[]) =>
  Type.Unsafe<Word>({ type: 'string', enum: words })

export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_PAGE_SIZE,
      description: `Items of one page; ${DEFAULT_PAGE_SIZE} unless told`,
    }),
  ),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: MAX_CURSOR_LENGTH, description: 'The `next_cursor` of the page before' }),
  ),
}

export const pageRequest = ({
  limit = DEFAULT_PAGE_SIZE,
  cursor,
}: {
  limit?: number
  cursor?: string
}): PageRequest => ({
  limit,
  ...(cursor !== undefined && { cursor }),
})

export const PageOf = <Item extends TSchema>(item: Item) =>
  Type.Object({ items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) })

export const pageJson = <Item, Json>({ items, nextCursor }: Page<Item>, itemJson: (item: Item) => Json) => ({
  items: items.map(itemJson),
  next_cursor: nextCursor ?? null,
})

const NUMBERS = ['limit', 'wait']

/** Query strings carry only text and nothing is coerced, so the numbers among the parameters are read here. */
export const readNumbers: preValidationHookHandler = (request, _reply, done) => {
  const query = request.query as Record<string, unknown>
  for (const name of NUMBERS) {
    const text = query[name]
    if (typeof text === 'string' && /^\d{1,9}$/.test(text)) query[name] = Number(text)
  }
  done()
}
