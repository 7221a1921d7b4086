import { Type } from '@sinclair/typebox'
import { MAX_STAT_POINTS, type ReadStats } from '../../domain/stats.ts'
import { Text, Time } from '../schemas/schema.ts'
import { StatsSchema, statsJson } from '../schemas/stats.ts'
import { filterOf, type OpsApp } from './ops-app.ts'

const StatsQuery = Type.Object(
  {
    since: Type.Optional(Time('From this time on; default: a day before `until`')),
    until: Type.Optional(Time('Until this time; default: now')),
    step: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: 86_400 * 90,
        multipleOf: 60,
        description: `The length of a step in seconds; default: one that gives a few hundred steps. At most ${MAX_STAT_POINTS} steps`,
      }),
    ),
    source: Type.Optional(Text('Name of the source; default: all together')),
  },
  { additionalProperties: false },
)

export function registerStats(app: OpsApp, readStats: ReadStats): void {
  app.get(
    '/v1/stats',
    {
      schema: {
        summary: 'Numbers over time: what came, what was refused, handled and failed, and how long it took',
        tags: ['metrics'],
        querystring: StatsQuery,
        response: { 200: StatsSchema },
      },
    },
    async ({ query: { step, ...query } }, reply) =>
      reply.send(statsJson(await readStats({ ...filterOf(query), ...(step !== undefined && { stepSeconds: step }) }))),
  )
}
