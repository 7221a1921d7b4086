import { type Static, Type } from '@sinclair/typebox'
import type { ReloadChanges } from '../../domain/reload.ts'

const Names = (description: string) => Type.Array(Type.String(), { description })
const Places = (description: string) => Type.Array(Type.Integer(), { description })

export const ReloadSchema = Type.Object({
  sources: Type.Object({
    added: Names('Sources that are new'),
    removed: Names('Sources that are gone'),
    changed: Type.Array(
      Type.Object({
        name: Type.String(),
        secrets: Type.Integer({ description: 'How many secrets it has now' }),
        secrets_added: Places('The places of new secrets, from 1: the newest'),
        secrets_removed: Places('The places that removed secrets had'),
      }),
      { description: 'Sources with another setting' },
    ),
  }),
  handlers: Type.Object({ added: Names('Handlers that are new'), removed: Names('Handlers that are gone') }),
  settings: Names('The settings whose values have changed; values are not shown'),
  restart_needed: Names('Settings that differ from those of the start, and that only a restart brings into effect'),
  duration_ms: Type.Integer(),
})
export type ReloadJson = Static<typeof ReloadSchema>

export const reloadJson = (
  { sources, handlers, settings, needRestart }: ReloadChanges,
  durationMs: number,
): ReloadJson => ({
  sources: {
    added: [...sources.added],
    removed: [...sources.removed],
    changed: sources.changed.map(({ name, secrets, added, removed }) => ({
      name,
      secrets,
      secrets_added: [...added],
      secrets_removed: [...removed],
    })),
  },
  handlers: { added: [...handlers.added], removed: [...handlers.removed] },
  settings: [...settings],
  restart_needed: [...needRestart],
  duration_ms: Math.round(durationMs),
})
