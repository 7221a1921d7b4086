import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Logger } from 'pino'
import { beforeAll, describe, expect, test } from 'vitest'
import type { CatalogueType } from '../../src/domain/event-catalogue.ts'
import type { HandlerContext } from '../../src/domain/handler.ts'
import { createRouter, type HandlerModule, type RegisteredHandler } from '../../src/domain/router.ts'
import { catalogueSamples as samples } from '../../src/providers/samples/ai.ts'
import { handlersDirectory, shippedHandlers } from '../support/shipped-handlers.ts'

const types = Object.keys(samples) as CatalogueType[]
const handlers: RegisteredHandler[] = []

/** The module that handles events of a type, e.g. `batches.ts` for `batch.created`. */
const MODULES: Readonly<Record<string, string>> = {
  batch: 'batches.ts',
  completion: 'completions.ts',
  job: 'jobs.ts',
  model: 'models.ts',
  task: 'tasks.ts',
  usage: 'usage.ts',
}
const moduleOf = (type: CatalogueType): string => MODULES[type.split('.')[0] ?? ''] ?? ''
const isShipped = (type: CatalogueType): boolean => shippedHandlers.has(moduleOf(type))

beforeAll(async () => {
  for (const name of shippedHandlers) {
    const module = (await import(pathToFileURL(join(handlersDirectory, name)).href)) as { default: HandlerModule }
    await module.default(createRouter(name.replace(/\.ts$/, ''), handlers))
  }
})

/** Runs the one handler of a type on its sample; gives what it logged. */
function logged(type: CatalogueType): readonly unknown[] {
  const handler = handlers.find(({ definition }) => definition.types.includes(type))
  const lines: unknown[] = []
  const note = (fields: unknown): void => void lines.push(fields)
  const log = { debug: note, info: note, warn: note, error: note } as unknown as Logger
  const context = { attempt: 1, signal: new AbortController().signal, log } as unknown as HandlerContext
  handler?.run(
    {
      id: 'evt_1',
      uid: 'uid',
      type,
      created_at: '2025-01-15T10:30:00Z',
      created_at_source: 'provider',
      data: samples[type],
      source: 'ai',
      provider: 'ai',
      origin: 'webhook',
      received_at: '2025-01-15T10:30:01Z',
      headers: {},
      raw: () => Buffer.alloc(0),
    },
    context,
  )
  return lines
}

describe.each(types)('an event of type %s', (type) => {
  test.runIf(isShipped(type))('has one handler among the shipped modules', () => {
    expect(handlers.filter(({ definition }) => definition.types.includes(type))).toHaveLength(1)
  })

  test.runIf(isShipped(type))('is logged with the id, model or metric that it is about', () => {
    const [line, ...more] = logged(type)
    expect(more).toEqual([])
    const identified = Object.entries(samples[type]).filter(([key]) => /_id$|^model$|^metric$/.test(key))
    expect(Object.entries(line as object)).toEqual(expect.arrayContaining([identified[0]]))
  })
})

test.runIf(isShipped('completion.finished'))('no shipped handler logs the text of a completion', () => {
  expect(JSON.stringify(logged('completion.finished'))).not.toContain(samples['completion.finished'].content)
})
