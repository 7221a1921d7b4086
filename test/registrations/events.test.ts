import { describe, expect, test } from 'vitest'
import type { FakeApi } from '../support/fake-registrations.ts'
import { failureOf, startWebhookManager } from './registrations.ts'

describe('a registration', () => {
  const askedOf = async (api: FakeApi, types: readonly string[], events?: readonly string[]) => {
    const { fake, webhooks } = await startWebhookManager(api, { types })
    await webhooks.create('shop', events === undefined ? {} : { events })
    return fake.hooks[0]?.events
  }

  test.each<[FakeApi, readonly string[]]>([
    ['stripe', ['*']],
    ['github', ['*']],
  ])('at %s has all events, where the source takes all types', async (api, expected) => {
    expect(await askedOf(api, ['*'])).toEqual(expected)
  })

  test('at the generic API has all events of the catalogue but those that Holdfast makes itself', async () => {
    const events = await askedOf('ai', ['*'])
    expect(events).toContain('completion.finished')
    expect(events).not.toContain('task.expired')
    expect(await askedOf('ai', ['task.failed', 'task.expired'])).toEqual(['task.failed'])
  })

  test('at OpenAI has the events that end a task', async () => {
    const events = await askedOf('openai', ['*'])
    expect(events).toHaveLength(14)
    expect(events).toEqual(expect.arrayContaining(['response.completed', 'batch.expired', 'eval.run.canceled']))
  })

  test.each<[string, FakeApi, readonly string[], readonly string[] | undefined, readonly string[]]>([
    ['the source names', 'stripe', ['invoice.paid', 'invoice.voided'], undefined, ['invoice.paid', 'invoice.voided']],
    ['the caller names', 'stripe', ['invoice.paid'], ['charge.failed'], ['charge.failed']],
    [
      'a pattern stands for',
      'ai',
      ['batch.c*', 'usage.alert'],
      undefined,
      ['batch.created', 'batch.completed', 'batch.cancelled', 'usage.alert'],
    ],
    ['patterns share, each once', 'ai', ['model.*', '*.updated'], undefined, ['model.deprecated', 'model.updated']],
    [
      'OpenAI knows of a pattern',
      'openai',
      ['*'],
      ['batch.*ed'],
      ['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'],
    ],
    ['the caller names beside all', 'stripe', ['invoice.paid'], ['charge.failed', '*'], ['*']],
    [
      'GitHub sends the types under',
      'github',
      ['issues.opened', 'issues.closed', 'push'],
      undefined,
      ['issues', 'push'],
    ],
    ['GitHub has a pattern for', 'github', ['pull_request.*'], undefined, ['pull_request']],
  ])('has the events that %s', async (_what, api, types, events, expected) => {
    expect(await askedOf(api, types, events)).toEqual(expected)
  })

  test.each<[FakeApi, readonly string[], readonly string[] | undefined, string]>([
    ['stripe', ['invoice.*'], undefined, 'SOURCE_SHOP_TYPES: no event of provider stripe is known to match invoice.*'],
    ['github', ['pull_*'], undefined, 'SOURCE_SHOP_TYPES: no event of provider github is known to match pull_*'],
    ['ai', ['*'], ['nothing.*'], 'events: no event of provider ai is known to match nothing.*'],
    ['ai', ['*'], [], 'events: no event is named'],
    ['github', ['*'], ['.opened'], 'events: no event is named'],
  ])('at %s is refused for a pattern that no known event matches', async (api, types, events, message) => {
    const { fake, webhooks } = await startWebhookManager(api, { types })
    const asked = webhooks.ensure('shop', events === undefined ? {} : { events })
    expect(await failureOf(asked, 'invalid_request')).toContain(message)
    expect(fake.received).toEqual([])
  })
})
