import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { ROLES } from '../../domain/config.ts'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import { PROBLEMS, type Problem, SEVERITIES } from '../../domain/problem.ts'
import type { ServiceStatus } from '../../domain/status.ts'
import { TASK_STATUSES } from '../../domain/task.ts'
import { VERSION } from '../../domain/version.ts'
import { isoOrNull, Nullable, OneOf, Time } from './schema.ts'
import { Times, timesJson } from './stats.ts'

export const ProblemItemSchema = Type.Object({
  problem: OneOf(PROBLEMS),
  severity: OneOf(SEVERITIES),
  summary: Type.String({ description: 'One sentence, without its target and its time' }),
  count: Type.Integer({ description: 'How many events, deliveries, tasks or faults it is about' }),
  since: Nullable(Time(), 'When it began; null: not known'),
  last_at: Nullable(Time(), 'When it last happened; null: it lasts, or is not known'),
  cause: Nullable(Type.String()),
  source: Nullable(Type.String(), 'The source that it is about'),
  handler: Nullable(Type.String(), 'The handler that it is about'),
  command: Nullable(Type.String(), 'The command that shows more, or helps'),
})
export type ProblemItemJson = Static<typeof ProblemItemSchema>

const countsOf = <Word extends string>(words: readonly Word[]) =>
  Type.Unsafe<Record<Word, number>>(
    Type.Object(Object.fromEntries(words.map((word) => [word, Type.Integer()] as const))),
  )

export const StatusSchema = Type.Object({
  at: Time('When this was read; it may be a second old'),
  version: Type.String(),
  role: OneOf(ROLES),
  started_at: Time(),
  uptime_seconds: Type.Integer(),
  well: Type.Boolean({ description: 'Whether all problems are notices, if there are any' }),
  problems: Type.Array(ProblemItemSchema, { description: 'Worst first' }),
  store: Type.Object({
    kind: OneOf(['sqlite', 'postgres']),
    ready: Type.Boolean({ description: 'Whether events can be stored now' }),
    bytes: Nullable(Type.Integer(), 'The size of the database; may be a minute old'),
    free_bytes: Nullable(Type.Integer(), 'The space left on its disk; null with PostgreSQL'),
  }),
  deliveries: Nullable(countsOf(DELIVERY_STATES), 'By state; null: the store does not tell'),
  oldest_due_at: Nullable(Time(), 'Since when the delivery that has been due longest is due'),
  tasks: Nullable(countsOf(TASK_STATUSES), 'By status; null: the store does not tell'),
  recent: Nullable(
    Type.Object({
      minutes: Type.Integer(),
      received: Type.Integer(),
      duplicates: Type.Integer(),
      refused: Type.Integer(),
      handled: Type.Integer(),
      failed: Type.Integer(),
      dead: Type.Integer(),
      ack: Times('From the arrival of a webhook to its acknowledgement'),
    }),
    'Numbers of the last minutes, over all sources and replicas',
  ),
  last_event_at: Nullable(Time(), 'When the last webhook of any source came'),
  sources: Type.Integer({ description: 'How many are configured' }),
  handlers: Type.Integer({ description: 'How many are registered' }),
  workers: Nullable(Type.Integer(), 'How many processes with handlers run; null: the store is not shared'),
})
export type StatusJson = Static<typeof StatusSchema>

export const statusJson = (status: ServiceStatus): StatusJson => ({
  at: toIso(status.atMs),
  version: VERSION,
  role: status.role,
  started_at: toIso(status.startedAtMs),
  uptime_seconds: Math.max(0, Math.floor((status.atMs - status.startedAtMs) / 1000)),
  well: status.problems.every(({ severity }) => severity === 'notice'),
  problems: status.problems.map(problemJson),
  store: {
    kind: status.store.kind,
    ready: status.store.faults.length === 0,
    bytes: status.store.bytes ?? null,
    free_bytes: status.store.freeBytes ?? null,
  },
  deliveries: status.counts === undefined ? null : { ...status.counts.deliveries },
  oldest_due_at: isoOrNull(status.counts?.oldestDueAtMs),
  tasks: status.counts === undefined ? null : { ...status.counts.tasks },
  recent: status.recent === undefined ? null : { ...status.recent, ack: timesJson(status.recent.ack) },
  last_event_at: isoOrNull(status.lastEventAtMs),
  sources: status.sources,
  handlers: status.handlers,
  workers: status.workers ?? null,
})

const problemJson = ({
  sinceMs,
  lastMs,
  cause,
  causeId: _,
  source,
  handler,
  command,
  ...same
}: Problem): ProblemItemJson => ({
  ...same,
  since: isoOrNull(sinceMs),
  last_at: isoOrNull(lastMs),
  cause: cause ?? null,
  source: source ?? null,
  handler: handler ?? null,
  command: command ?? null,
})
