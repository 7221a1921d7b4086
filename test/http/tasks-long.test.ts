import { expect, test } from 'vitest'
import { expectProblem } from './public-service.ts'
import { startTaskOps } from './task-ops.ts'

const KEY = { 'idempotency-key': 'order-7' }

test('a long request with an Idempotency-Key begins one task whatever the order of its fields, another request gets 422, and one that is not JSON 400', async () => {
  const { post, provider } = await startTaskOps()
  const long = { prompt: 'x'.repeat(70_000), first: { a: 1, b: 2 } }
  const first = await post('/v1/tasks', { source: 'ai', submit: long }, KEY)
  const again = await post('/v1/tasks', { submit: { first: { b: 2, a: 1 }, prompt: long.prompt }, source: 'ai' }, KEY)
  expect([first.status, again.status]).toEqual([201, 201])
  expect(await again.json()).toEqual(await first.json())
  expect(provider.submitted).toMatchObject([{ request: long }])
  const other = { source: 'ai', submit: { ...long, first: 1 } }
  await expectProblem(await post('/v1/tasks', other, KEY), 422, 'idempotency-mismatch')
  const noJson = `{"source":"ai","submit":{"x":"${long.prompt}","y":?}}`
  const { detail } = await expectProblem(await post('/v1/tasks', noJson, KEY), 400, 'invalid-request')
  expect(detail).toContain('not valid JSON')
})
