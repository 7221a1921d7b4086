import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runHandler, sample } from 'holdfast/testing'
import completions from './completions.ts'

test('a finished completion is logged with its tokens', async () => {
  const { outcome, logs } = await runHandler(completions, sample('ai', 'completion.finished'))
  assert.equal(outcome, 'succeeded')
  assert.equal(logs[0]?.tokens, 650)
})

test('an event without the fields of its type does not reach the handler', async () => {
  const { outcome, logs } = await runHandler(completions, sample('ai', 'completion.finished', { model: 'gpt-4o' }))
  assert.equal(outcome, 'dead')
  assert.deepEqual(logs, [])
})
