import { type HandlerOptions, type Router, standardEvent, Type, type WebhookEvent } from 'holdfast'
import { expect, expectTypeOf, test } from 'vitest'
import { createRouter, type RegisteredHandler } from '../../src/domain/router.ts'

/**
 * What is stated here of types is proven by `tsc`, in `npm run check`: an expectation that does not hold fails to
 * compile, and so does an expected error that does not occur. At run time the same lines prove that what compiles is
 * also accepted.
 */
function registering(declare: (router: Router) => void): readonly RegisteredHandler[] {
  const registered: RegisteredHandler[] = []
  declare(createRouter('types', registered))
  return registered
}

const Thing = Type.Object({ size: Type.Number(), tag: Type.Optional(Type.String()) })
interface ThingData {
  size: number
  tag?: string
}

test('an event type of the catalogue types the event', () => {
  const registered = registering((router) => {
    router.on('completion.finished', (event, context) => {
      expectTypeOf(event.type).toEqualTypeOf<'completion.finished'>()
      expectTypeOf(event.data.total_tokens).toEqualTypeOf<number>()
      expectTypeOf(event.raw()).toEqualTypeOf<Buffer<ArrayBufferLike>>()
      expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>()
    })
  })
  expect(registered.map(({ definition }) => definition.name)).toEqual(['types:completion.finished'])
})

test('a handler that uses a field that its event does not have fails to compile', () => {
  const registered = registering((router) => {
    router.on('completion.finished', (event) => {
      // @ts-expect-error a completion has no batch
      expectTypeOf(event.data.batch_id)
    })
    router.on('batch.completed', (event) => {
      // @ts-expect-error a count is no text
      event.data.failed.trim()
    })
    router.register('usage.alert', (event) => {
      // @ts-expect-error an event is not to be changed
      event.uid = 'another'
    })
  })
  expect(registered).toHaveLength(3)
})

test('a schema given at `on` types the data of an unknown type', () => {
  const registered = registering((router) => {
    router.on('acme.thing', Thing, (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'acme.thing'>()
      expectTypeOf(event.data).toEqualTypeOf<ThingData>()
      // @ts-expect-error not in the schema
      expectTypeOf(event.data.weight)
    })
    router.on('acme.other', { schema: Thing, name: 'other' }, (event) => {
      expectTypeOf(event.data).toEqualTypeOf<ThingData>()
    })
  })
  expect(registered.map(({ definition }) => definition.schemaOf)).toEqual(['data', 'data'])
})

test('a schema of the whole event that is given at `on` types the data of the event', () => {
  const registered = registering((router) => {
    router.on('acme.thing', standardEvent('acme.thing', Thing), (event) => {
      expectTypeOf(event.data).toEqualTypeOf<ThingData>()
      expectTypeOf(event.uid).toEqualTypeOf<string>()
    })
  })
  expect(registered.map(({ definition }) => definition.schemaOf)).toEqual(['event'])
})

test('a schema given at `on` takes the place of the schema of the catalogue', () => {
  const registered = registering((router) => {
    router.on('completion.finished', Thing, (event) => {
      expectTypeOf(event.data).toEqualTypeOf<ThingData>()
    })
  })
  expect(registered[0]?.definition.schema).toMatchObject({ properties: { size: { type: 'number' } } })
})

test('an event type without a schema, or a pattern, gives the base event', () => {
  const registered = registering((router) => {
    router.on('acme.unknown', (event) => {
      expectTypeOf(event).toEqualTypeOf<WebhookEvent<'acme.unknown', Record<string, unknown>>>()
      expectTypeOf(event.data.whatever).toEqualTypeOf<unknown>()
    })
    router.on('completion.*', (event) => {
      expectTypeOf(event.type).toEqualTypeOf<string>()
      expectTypeOf(event.data).toEqualTypeOf<Record<string, unknown>>()
    })
  })
  expect(registered.map(({ definition }) => definition.types)).toEqual([['acme.unknown'], ['completion.*']])
})

test('several event types give a union of events, told apart by the type', () => {
  const registered = registering((router) => {
    router.on(['completion.finished', 'batch.completed'], (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'completion.finished' | 'batch.completed'>()
      if (event.type === 'batch.completed') expectTypeOf(event.data.output_file_id).toEqualTypeOf<string>()
      else expectTypeOf(event.data.content).toEqualTypeOf<string>()
      // @ts-expect-error only one of them has it
      expectTypeOf(event.data.content)
    })
  })
  expect(registered[0]?.definition.types).toEqual(['completion.finished', 'batch.completed'])
})

test('the event types of one source type the event as those of any source do', () => {
  const registered = registering((router) => {
    router.on({ source: 'completions', type: 'completion.failed' }, { concurrency: 4 }, (event) => {
      expectTypeOf(event.data.completion_id).toEqualTypeOf<string>()
    })
    router.on({ source: 'shop', type: 'invoice.*' }, { name: 'billing' }, (event) => {
      expectTypeOf(event.data).toEqualTypeOf<Record<string, unknown>>()
    })
  })
  expect(registered.map(({ definition }) => definition.source)).toEqual(['completions', 'shop'])
})

test('`register` types its handler as `on` does', () => {
  const registered = registering((router) => {
    router.register('batch.completed', (event) => {
      expectTypeOf(event.data.output_file_id).toEqualTypeOf<string>()
    })
    router.register('acme.thing', (event) => expectTypeOf(event.data).toEqualTypeOf<ThingData>(), { schema: Thing })
    router.register(['task.completed', 'task.failed'], (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'task.completed' | 'task.failed'>()
      expectTypeOf(event.data.task_id).toEqualTypeOf<string>()
    })
    router.register('acme.unknown', (event) => expectTypeOf(event.data).toEqualTypeOf<Record<string, unknown>>(), {
      name: 'unknown',
    })
  })
  expect(registered.map(({ definition }) => definition.name)).toEqual([
    'types:batch.completed',
    'types:acme.thing',
    'types:task.completed,task.failed',
    'unknown',
  ])
})

test('a handler may have a policy of its own, of which only known parts compile', () => {
  const registered = registering((router) => {
    const policy = { timeoutMs: 60_000, retry: { maxAttempts: 3 }, rate: { limit: 10, perMs: 1_000 }, concurrency: 4 }
    router.on('acme.thing', { name: 'limited', ...policy }, () => {})
    router.register('acme.other', () => {}, { retry: { baseMs: 10, capMs: 20 }, orderBy: 'data.object.id' })
    // @ts-expect-error a rate needs both parts
    const half: HandlerOptions = { rate: { limit: 1 } }
    expectTypeOf(half).toEqualTypeOf<HandlerOptions>()
  })
  expect(registered.map(({ definition }) => definition)).toEqual([
    {
      name: 'limited',
      types: ['acme.thing'],
      concurrency: 4,
      timeoutMs: 60_000,
      retry: { maxAttempts: 3 },
      rate: { limit: 10, perMs: 1_000 },
    },
    { name: 'types:acme.other', types: ['acme.other'], retry: { baseMs: 10, capMs: 20 }, orderBy: 'data.object.id' },
  ])
})
