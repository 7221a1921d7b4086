import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import { EVENT_STATUSES, ORIGINS } from '../../src/domain/event.ts'
import { TASK_STATUSES } from '../../src/domain/task.ts'
import { event, startOps } from './ops-service.ts'

test('every answer of the ops API matches its API description', async () => {
  const { get, store } = await startOps()
  const { uid } = await store.append(event({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }))
  const description = (await (await get('/openapi.json')).json()) as {
    openapi: string
    paths: Record<string, { get?: { responses: Record<string, { content?: Record<string, { schema: object }> }> } }>
  }
  expect(description.openapi).toBe('3.1.0')
  expect(Object.keys(description.paths).toSorted()).toEqual([
    '/livez',
    '/metrics',
    '/readyz',
    '/v1/audit',
    '/v1/dead',
    '/v1/deliveries',
    '/v1/deliveries/discard',
    '/v1/drain',
    '/v1/drift',
    '/v1/events',
    '/v1/events/counts',
    '/v1/events/{uid}',
    '/v1/events/{uid}/body',
    '/v1/events/{uid}/discard',
    '/v1/events/{uid}/replay',
    '/v1/handlers',
    '/v1/handlers/{name}/pause',
    '/v1/handlers/{name}/resume',
    '/v1/live',
    '/v1/payload-index',
    '/v1/payload-index/continue',
    '/v1/registrations',
    '/v1/registrations/{source}/{id}',
    '/v1/reload',
    '/v1/replays',
    '/v1/replays/{id}',
    '/v1/retention',
    '/v1/retention/resume',
    '/v1/sources',
    '/v1/sources/{name}/pause',
    '/v1/sources/{name}/resume',
    '/v1/stats',
    '/v1/status',
    '/v1/suggest',
    '/v1/tasks',
    '/v1/tasks/{source}/{task_id}',
    '/v1/tasks/{source}/{task_id}/poll',
  ])
  const ajv = new Ajv2020({ strict: false })
  formats.default(ajv)
  for (const path of [
    '/v1/events',
    '/v1/events/{uid}',
    '/v1/dead',
    '/v1/deliveries',
    '/v1/sources',
    '/v1/handlers',
    '/v1/retention',
    '/v1/drift',
    '/v1/audit',
  ]) {
    const schema = description.paths[path]?.get?.responses['200']?.content?.['application/json']?.schema
    if (schema === undefined) throw new Error(`${path} has no schema`)
    const validate = ajv.compile(closed(schema) as object)
    const answer = await (await get(path.replace('{uid}', uid))).json()
    expect([path, validate(answer), validate.errors]).toEqual([path, true, null])
  }
})

test('the API description names every value that a parameter takes', async () => {
  const { get } = await startOps()
  const description = (await (await get('/openapi.json')).json()) as {
    paths: Record<string, { get: { parameters: { name: string; schema: { enum?: string[] } }[] } }>
  }
  for (const [path, parameter, words] of [
    ['/v1/events', 'status', EVENT_STATUSES],
    ['/v1/events', 'origin', ORIGINS],
    ['/v1/deliveries', 'state', DELIVERY_STATES],
    ['/v1/tasks', 'status', TASK_STATUSES],
  ] as const) {
    const found = description.paths[path]?.get.parameters.find(({ name }) => name === parameter)
    expect.soft(found?.schema.enum, `${path} ${parameter}`).toEqual(words)
  }
})

/** The same schema, with no room for what it does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([key, value]) => [key, closed(value)])
  const inner = Object.fromEntries(entries)
  return 'properties' in schema ? { ...inner, additionalProperties: false } : inner
}
