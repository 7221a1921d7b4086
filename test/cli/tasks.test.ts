import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TaskJson } from '../../src/http/schemas/tasks.ts'
import { temporaryDirectory } from '../support/service.ts'
import { NEVER, shareTasks, shown } from './tasks-service.ts'

const { service, provider, tasks, json } = shareTasks()

describe('tasks track', () => {
  test('shows the task that it has begun', async () => {
    const id = provider().create()
    const { code, out, err } = await tasks([
      'track',
      'ai',
      id,
      ...NEVER,
      '--deadline',
      '2h',
      '--metadata',
      '{"order":7}',
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const task: TaskJson = await service().api(`/v1/tasks/ai/${id}`)
    const time = (iso: string | null) => (iso === null ? undefined : `${iso.slice(0, 19)}Z`)
    expect(shown(out)).toEqual({
      uid: task.uid,
      source: 'ai',
      task: id,
      status: 'pending',
      created: time(task.created_at),
      'stale at': time(task.stale_at),
      expires: time(task.expires_at),
      'next poll': time(task.next_poll_at),
      polls: '0',
      metadata: '{"order":7}',
    })
    expect(Date.parse(task.stale_at) - Date.parse(task.created_at)).toBe(3_600_000)
    expect(Date.parse(task.expires_at) - Date.parse(task.created_at)).toBe(7_200_000)
  })

  test('prints the task of the API with --json, and the same task when it is repeated', async () => {
    const id = provider().create('an id/with %25 & ünïcode')
    const task = await json(['track', 'ai', id, ...NEVER])
    const detail = await service().api(`/v1/tasks/ai/${encodeURIComponent(id)}`)
    expect(detail).toEqual({ ...task, questions: [] })
    expect(await json(['track', 'ai', id])).toEqual(task)
    expect(await json(['show', 'ai', id])).toEqual(detail)
    expect(await json(['show', 'ai', task.uid])).toEqual(detail)
  })
})

describe('tasks submit', () => {
  test('sends the contents of a file to the provider', async () => {
    const file = join(temporaryDirectory(), 'request.json')
    writeFileSync(file, '{"prompt":"a lighthouse"}')
    const task = await json(['submit', 'ai', '--data', file, ...NEVER])
    expect(provider().submitted.at(-1)).toMatchObject({
      id: task.task_id,
      request: { prompt: 'a lighthouse', webhook_url: 'https://hooks.example/v1/webhooks/ai' },
    })
    expect(task).toMatchObject({ status: 'pending' })
  })

  test('sends the standard input to the provider, once for each --key', async () => {
    const before = provider().submitted.length
    const submit = (input: string) => tasks(['submit', 'ai', '--data', '-', ...NEVER, '--key', 'order-7'], input)
    const first = await submit('{"prompt":"a harbour"}')
    expect(first.code).toBe(0)
    expect(shown(first.out)).toMatchObject({ status: 'pending', task: provider().submitted.at(-1)?.id })
    expect(await submit('{ "prompt": "a harbour" }')).toEqual(first)
    expect(provider().submitted).toHaveLength(before + 1)
    const other = await submit('{"prompt":"a storm"}')
    expect({ ...other, bytes: undefined }).toEqual({
      code: 1,
      out: '',
      bytes: undefined,
      err: 'holdfast tasks submit: The Idempotency-Key was used for another request (422): the Idempotency-Key was used for another request\n',
    })
  })

  test.each([
    ['[1]', 'the standard input holds no JSON object'],
    ['{', 'the standard input is not JSON'],
    ['', 'the standard input is not JSON'],
  ])('submits nothing where the standard input is %j', async (input, reason) => {
    const before = provider().seen.submissions
    expect(await tasks(['submit', 'ai', '--data', '-'], input)).toMatchObject({
      code: 2,
      out: '',
      err: `holdfast tasks submit: ${reason}\n`,
    })
    expect(provider().seen.submissions).toBe(before)
  })

  test('prints the provider’s reason for a refusal, without the API key', async () => {
    provider().misbehaveOnSubmit(() => ({ kind: 'status', status: 400, created: false }))
    const { code, err } = await tasks(['submit', 'ai', '--data', '-'], '{}')
    provider().misbehaveOnSubmit(() => undefined)
    expect(code).toBe(1)
    expect(err).toBe('holdfast tasks submit: The provider did not do it (502): the provider answered 400: [redacted]\n')
  })
})

describe('tasks list', () => {
  test('has a line for each task, newest first, and prints how to go on', async () => {
    const ids = [provider().create(), provider().create()]
    for (const id of ids) await tasks(['track', 'bare', id])
    await tasks(['cancel', 'bare', ids[0] ?? ''])
    const { out, err } = await tasks(['list', '--source', 'bare'])
    const [heading, ...lines] = out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/))
    expect(err).toBe('')
    expect(heading).toEqual(['CREATED', 'SOURCE', 'TASK', 'STATUS', 'RESOLVED BY', 'POLLS', 'LAST ERROR'])
    expect(lines.map(([, ...rest]) => rest)).toEqual([
      ['bare', ids[1], 'pending', '-', '0', '-'],
      ['bare', ids[0], 'cancelled', '-', '0', '-'],
    ])
    const page = await tasks(['list', '--source', 'bare', '--limit', '1'])
    const [, cursor = ''] = /^more: --cursor (\S+)$/m.exec(page.err) ?? []
    expect((await json(['list', '--source', 'bare', '--cursor', cursor])).items).toMatchObject([{ task_id: ids[0] }])
    expect((await json(['list', '--source', 'bare', '--status', 'pending'])).items).toMatchObject([{ task_id: ids[1] }])
  })

  test('names a task that has no id yet by its uid', async () => {
    provider().misbehaveOnSubmit(() => ({ kind: 'status', status: 503 }))
    const { uid } = await json(['submit', 'ai', '--data', '-'], '{}')
    const { out } = await tasks(['list', '--status', 'submitting'])
    provider().misbehaveOnSubmit(() => undefined)
    expect(out).toMatch(new RegExp(`^.* ai +${uid} +submitting +- +0 +the provider answered 503$`, 'm'))
  })
})

describe('tasks poll and tasks cancel', () => {
  test('show the task after its provider was polled', async () => {
    const id = provider().create()
    await tasks(['track', 'ai', id, ...NEVER])
    expect(shown((await tasks(['poll', 'ai', id])).out)).toMatchObject({ "provider's word": 'processing', polls: '1' })
    provider().finish(id, 'completed')
    const ended = await json(['poll', 'ai', id])
    expect(ended).toMatchObject({ status: 'completed', resolved_by: 'poll' })
    const { out } = await tasks(['show', 'ai', id])
    expect(shown(out)).toMatchObject({ status: 'completed', 'resolved by': 'poll', event: ended.event_uid })
    const asked = out.slice(out.indexOf('ASKED'))
    expect(asked).toMatch(/^ASKED +WHAT +BY +TOOK +OUTCOME +PROVIDER SAID +ERROR\n/)
    expect(asked).toMatch(
      / poll +operator +\d+ ms +pending +processing +-\n.* poll +operator +\d+ ms +ended +completed +-\n$/,
    )
    expect(shown(out)).not.toHaveProperty('next poll')
  })

  test('show the task as cancelled, also when it is cancelled again', async () => {
    const id = provider().create()
    await tasks(['track', 'ai', id, ...NEVER])
    expect(shown((await tasks(['cancel', 'ai', id])).out)).toMatchObject({ status: 'cancelled' })
    expect(await json(['cancel', 'ai', id])).toMatchObject({ status: 'cancelled' })
    const lines = service().logs.filter((line) => line.action === 'task.cancel' && line.target === `ai/${id}`)
    expect(lines[0]).toMatchObject({ count: 1, peer: '127.0.0.1' })
  })

  test.each(['completed', 'failed'] as const)('say that a %s task has ended already', async (status) => {
    const id = provider().create()
    await tasks(['track', 'ai', id, ...NEVER])
    provider().finish(id, status)
    await tasks(['poll', 'ai', id])
    const asked = provider().seen.pollsOf(id)

    const cancelled = await tasks(['cancel', 'ai', id])
    expect(cancelled).toMatchObject({
      code: 1,
      err: `holdfast tasks cancel: the task is ${status} already: there was nothing to cancel\n`,
    })
    expect(shown(cancelled.out)).toMatchObject({ task: id, status })
    const polled = await tasks(['poll', 'ai', id])
    expect(polled).toMatchObject({ code: 0, err: `the task is ${status} already, and its provider was not asked\n` })
    expect(shown(polled.out)).toMatchObject({ task: id, status })
    expect(provider().seen.pollsOf(id)).toBe(asked)
  })
})

test.each([
  [['show', 'ai', 'nothing'], 'No such task (404): source ai has no task nothing'],
  [['show', 'nobody', 'nothing'], 'No such source (404): there is no source nobody'],
  [['wait', 'ai', 'no/thing'], 'No such task (404): source ai has no task no/thing'],
  [['cancel', 'ai', 'nothing'], 'No such task (404): source ai has no task nothing'],
  [['poll', 'ai', 'nothing'], 'No such task (404): source ai has no task nothing'],
])('the command tasks %j fails in one line', async (args, reason) => {
  const { code, out, err } = await tasks(args)
  expect({ code, out }).toEqual({ code: 4, out: '' })
  expect(err).toContain(`holdfast tasks ${args[0]}: ${reason}`)
  expect(err.trimEnd().split('\n')).toHaveLength(1)
})

test.each([
  [['track', 'ai', '..'], 'task_id has characters, or segments of dots, that no task id has'],
  [['track', 'ai', 'x', '--deadline', '0s'], 'body property deadline_ms must be >= 1'],
  [['list', '--source', ''], 'query parameter source must NOT have fewer than 1 characters'],
  [['list', '--cursor', 'nonsense'], 'the cursor is not one that this list gave'],
])('the command tasks %j, which the service refuses as not valid, exits with 2 and one line', async (args, detail) => {
  const { code, out, err } = await tasks(args)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  const reason = `The request is not valid (400): ${detail}`
  expect(err).toContain(`holdfast tasks ${args[0]}: ${reason}`)
  expect(err.trimEnd().split('\n')).toHaveLength(1)
})

test('tasks submit names the source whose API is not configured', async () => {
  expect(await tasks(['submit', 'bare', '--data', '-'], '{}')).toMatchObject({
    code: 1,
    err: 'holdfast tasks submit: The source is not configured for this (409): the API of source bare is not configured\n',
  })
})
