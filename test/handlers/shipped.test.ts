import { join } from 'node:path'
import type { Logger } from 'pino'
import { beforeAll, expect, test } from 'vitest'
import { loadHandlers } from '../../src/dispatch/process/load-handlers.ts'
import type { CatalogueType } from '../../src/domain/catalogue.ts'
import type { HandlerContext } from '../../src/domain/handler.ts'
import type { RegisteredHandler } from '../../src/domain/router.ts'
import { samples } from '../../src/samples/samples.ts'

const directory = join(import.meta.dirname, '../../src/handlers')
const types = Object.keys(samples) as CatalogueType[]
let handlers: readonly RegisteredHandler[]

beforeAll(async () => {
  const loaded = await loadHandlers(
    directory,
    () => {},
    () => {},
  )
  expect(loaded.faults).toEqual([])
  handlers = loaded.handlers
})

/** Runs the one handler of a type on its sample; gives what it logged. */
function logged(type: CatalogueType): readonly unknown[] {
  const handler = handlers.find(({ registration }) => registration.types.includes(type))
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
      raw: () => Buffer.alloc(0),
    },
    context,
  )
  return lines
}

test.each(types)('%s has one handler', (type) => {
  expect(handlers.filter(({ registration }) => registration.types.includes(type))).toHaveLength(1)
})

test.each(types)('%s is logged by what it is about', (type) => {
  const [line, ...more] = logged(type)
  expect(more).toEqual([])
  const identified = Object.entries(samples[type]).filter(([key]) => /_id$|^model$|^metric$/.test(key))
  expect(Object.entries(line as object)).toEqual(expect.arrayContaining([identified[0]]))
})

test('what a completion says stays out of the log', () => {
  expect(JSON.stringify(logged('completion.finished'))).not.toContain(samples['completion.finished'].content)
})
