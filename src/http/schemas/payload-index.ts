import { type Static, Type } from '@sinclair/typebox'
import type { IndexedPath } from '../../domain/payload-index.ts'

export const PayloadIndexSchema = Type.Object({
  items: Type.Array(
    Type.Object({
      source: Type.String(),
      path: Type.String(),
      share: Type.Number({ description: 'How much of the stored events the index has, from 0 to 1; the newest first' }),
    }),
  ),
  complete: Type.Boolean({ description: 'The index has all stored events, for each of these paths' }),
})

export type PayloadIndexJson = Static<typeof PayloadIndexSchema>

export const payloadIndexJson = (paths: readonly IndexedPath[]): PayloadIndexJson => ({
  items: paths.map(({ source, path, share }) => ({ source, path, share: Math.floor(share * 1_000) / 1_000 })),
  complete: paths.every(({ share }) => share === 1),
})
