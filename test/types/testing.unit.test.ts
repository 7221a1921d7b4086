import type { Handler, WebhookEvent } from 'holdfast'
import { runHandler, sample } from 'holdfast/testing'
import { expect, expectTypeOf, test } from 'vitest'

/** As in router.unit.test.ts, what is stated of types is proven by `tsc`. */

type Thing = WebhookEvent<'acme.thing', { size: number }>
type Other = WebhookEvent<'acme.other', { tag: string }>

test('a handler that is written in the call gets a typed event and context', async () => {
  const run = await runHandler(
    async (event, context) => {
      expectTypeOf(event.data).toEqualTypeOf<Record<string, unknown>>()
      expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>()
    },
    sample('standard', 'acme.thing'),
  )
  expectTypeOf(run.outcome).toEqualTypeOf<'succeeded' | 'failed' | 'retry' | 'dead'>()
  expectTypeOf(run.retryAfterMs).toEqualTypeOf<number | undefined>()
  expect(run.outcome).toBe('succeeded')
})

test('the type of a plain event is the type that the handler takes', async () => {
  const handler: Handler<Thing> = ({ data }, { fail }) => (data.size > 2 ? fail('too big') : data.size)
  expect(await runHandler(handler, { type: 'acme.thing', data: { size: 2 } })).toMatchObject({ outcome: 'succeeded' })
  expect(await runHandler(handler, sample('standard', 'acme.thing', { size: 3 }))).toMatchObject({ outcome: 'dead' })
  // @ts-expect-error: the handler takes no text
  await runHandler(handler, { type: 'acme.thing', data: { size: 'big' } })
  // @ts-expect-error: the handler takes no such type
  await runHandler(handler, { type: 'acme.other', data: { size: 2 } })
})

test('a handler of several types takes an event of each', async () => {
  const handler: Handler<Thing | Other> = (event) => (event.type === 'acme.thing' ? event.data.size : event.data.tag)
  await runHandler(handler, { type: 'acme.thing', data: { size: 2 } })
  expect(await runHandler(handler, { type: 'acme.other', data: { tag: 'a' } })).toMatchObject({ outcome: 'succeeded' })
})
