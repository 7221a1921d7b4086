import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Task } from '../../src/domain/task.ts'
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts'
import { temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

/** It stands in the provider's answers to what it refuses. */
const KEY = 'sk-echoed-by-the-provider'
/** Nobody is asked for it meanwhile. */
const NEVER = ['--max-wait', '1h']

let service: LocalService
let provider: FakeProvider

beforeAll(async () => {
  provider = await startFakeProvider({ apiKey: KEY })
  service = await startLocal({
    SOURCES: 'ai,bare',
    SOURCE_BARE_PROVIDER: 'ai',
    SOURCE_BARE_SECRET: 'whsec_'.padEnd(50, 'a'),
    SOURCE_AI_API_URL: provider.url,
    SOURCE_AI_API_KEY: KEY,
    PUBLIC_URL: 'https://hooks.example',
    TASK_MAX_WAIT_MS: '0',
    POLL_INTERVAL_MS: '20',
    OPS_TOKEN: 'a-token-for-tests',
  })
})
afterAll(() => provider.close())

const tasks = (args: readonly string[], input?: string) => run(['tasks', ...args], service.environment, input)

async function json(args: readonly string[], input?: string) {
  const { code, out, err } = await tasks([...args, '--json'], input)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out)
}

/** What a command shows of a task, by name. */
const shown = (out: string): Record<string, string> =>
  Object.fromEntries(
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/)),
  )

describe('tasks track', () => {
  test('shows the task that it has begun', async () => {
    const id = provider.create()
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
    const task: Task = await service.api(`/v1/tasks/ai/${id}`)
    const time = (iso: string | null) => iso?.slice(0, 19).replace('T', ' ')
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

  test('gives the task as the API does with --json, and the same one again', async () => {
    const id = provider.create('an id/with %25 & ünïcode')
    const task = await json(['track', 'ai', id, ...NEVER])
    expect(task).toEqual(await service.api(`/v1/tasks/ai/${encodeURIComponent(id)}`))
    expect(await json(['track', 'ai', id])).toEqual(task)
    expect(await json(['show', 'ai', id])).toEqual(task)
    expect(await json(['show', 'ai', task.uid])).toEqual(task)
  })
})

describe('tasks submit', () => {
  test('gives the provider what stands in a file', async () => {
    const file = join(temporaryDirectory(), 'request.json')
    writeFileSync(file, '{"prompt":"a lighthouse"}')
    const task = await json(['submit', 'ai', '--data', file, ...NEVER])
    expect(provider.submitted.at(-1)).toMatchObject({
      id: task.task_id,
      request: { prompt: 'a lighthouse', webhook_url: 'https://hooks.example/v1/webhooks/ai' },
    })
    expect(task).toMatchObject({ status: 'pending' })
  })

  test('gives it what comes by the standard input, once for each --key', async () => {
    const before = provider.submitted.length
    const submit = (input: string) => tasks(['submit', 'ai', '--data', '-', ...NEVER, '--key', 'order-7'], input)
    const first = await submit('{"prompt":"a harbour"}')
    expect(first.code).toBe(0)
    expect(shown(first.out)).toMatchObject({ status: 'pending', task: provider.submitted.at(-1)?.id })
    expect(await submit('{ "prompt": "a harbour" }')).toEqual(first)
    expect(provider.submitted).toHaveLength(before + 1)
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
  ])('of %j submits nothing', async (input, reason) => {
    const before = provider.seen.submissions
    expect(await tasks(['submit', 'ai', '--data', '-'], input)).toMatchObject({
      code: 1,
      out: '',
      err: `holdfast tasks submit: ${reason}\n`,
    })
    expect(provider.seen.submissions).toBe(before)
  })

  test('tells what the provider has against it, without its key', async () => {
    provider.misbehaveOnSubmit(() => ({ kind: 'status', status: 400, created: false }))
    const { code, err } = await tasks(['submit', 'ai', '--data', '-'], '{}')
    provider.misbehaveOnSubmit(() => undefined)
    expect(code).toBe(1)
    expect(err).toBe('holdfast tasks submit: The provider did not do it (502): the provider answered 400: [redacted]\n')
  })
})

describe('tasks list', () => {
  test('has a line for each, newest first, and tells where to go on', async () => {
    const ids = [provider.create(), provider.create()]
    for (const id of ids) await tasks(['track', 'bare', id])
    await tasks(['cancel', 'bare', ids[0] ?? ''])
    const { out, err } = await tasks(['list', '--source', 'bare'])
    const [heading, ...lines] = out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/))
    expect(err).toBe('')
    expect(heading).toEqual(['CREATED (UTC)', 'SOURCE', 'TASK', 'STATUS', 'RESOLVED BY', 'POLLS', 'LAST ERROR'])
    expect(lines.map(([, ...rest]) => rest)).toEqual([
      ['bare', ids[1], 'pending', '0'],
      ['bare', ids[0], 'cancelled', '0'],
    ])
    const page = await tasks(['list', '--source', 'bare', '--limit', '1'])
    const [, cursor = ''] = /^more: --cursor (\S+)$/m.exec(page.err) ?? []
    expect((await json(['list', '--source', 'bare', '--cursor', cursor])).items).toMatchObject([{ task_id: ids[0] }])
    expect((await json(['list', '--source', 'bare', '--status', 'pending'])).items).toMatchObject([{ task_id: ids[1] }])
  })

  test('names a task that has no id yet by its uid', async () => {
    provider.misbehaveOnSubmit(() => ({ kind: 'status', status: 503 }))
    const { uid } = await json(['submit', 'ai', '--data', '-'], '{}')
    const { out } = await tasks(['list', '--status', 'submitting'])
    provider.misbehaveOnSubmit(() => undefined)
    expect(out).toMatch(new RegExp(`^.* ai +${uid} +submitting +0 +the provider answered 503$`, 'm'))
  })
})

describe('tasks poll and tasks cancel', () => {
  test('show the task after it was asked for', async () => {
    const id = provider.create()
    await tasks(['track', 'ai', id, ...NEVER])
    expect(shown((await tasks(['poll', 'ai', id])).out)).toMatchObject({ "provider's word": 'processing', polls: '1' })
    provider.finish(id, 'completed')
    const ended = await json(['poll', 'ai', id])
    expect(ended).toMatchObject({ status: 'completed', resolved_by: 'poll' })
    const { out } = await tasks(['show', 'ai', id])
    expect(shown(out)).toMatchObject({ status: 'completed', 'resolved by': 'poll', event: ended.event_uid })
    expect(shown(out)).not.toHaveProperty('next poll')
  })

  test('show the task that nobody waits for any more', async () => {
    const id = provider.create()
    await tasks(['track', 'ai', id, ...NEVER])
    expect(shown((await tasks(['cancel', 'ai', id])).out)).toMatchObject({ status: 'cancelled' })
    expect(await json(['cancel', 'ai', id])).toMatchObject({ status: 'cancelled' })
  })
})

describe('tasks wait', () => {
  test('ends with 0 as soon as the task is completed, and shows it', async () => {
    const id = provider.create()
    await tasks(['track', 'ai', id])
    const waiting = tasks(['wait', 'ai', id])
    provider.finish(id, 'completed')
    const { code, out, err } = await waiting
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(shown(out)).toMatchObject({ task: id, status: 'completed' })
  })

  test.each(['failed', 'cancelled'] as const)('ends with 1 when the task has %s, and shows it', async (status) => {
    const id = provider.create()
    provider.finish(id, status)
    await tasks(['track', 'ai', id])
    const { code, out, err } = await tasks(['wait', 'ai', id, '--json'])
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(JSON.parse(out)).toMatchObject({ task_id: id, status })
  })

  test('ends with 1 when the task has expired', async () => {
    const { uid } = await service
      .post('/v1/tasks', { source: 'ai', task_id: provider.create(), max_wait_ms: 1_000, deadline_ms: 1 })
      .then(({ body }) => body as Task)
    const { code, out } = await tasks(['wait', 'ai', uid])
    expect(code).toBe(1)
    expect(shown(out)).toMatchObject({ status: 'expired', 'resolved by': 'expiry' })
  })

  test.each(['0s', '1s'])('gives up after %s, and says so', async (timeout) => {
    const id = provider.create()
    await tasks(['track', 'ai', id, ...NEVER])
    expect(await tasks(['wait', 'ai', id, '--timeout', timeout])).toMatchObject({
      code: 1,
      out: '',
      err: `holdfast tasks wait: the task is still pending after ${timeout}\n`,
    })
  })

  test.each(['5s', '5m'])(
    'of %s ends with 1 when the service answers early, as it does when it stops',
    async (timeout) => {
      let asked = 0
      const stopping = createServer((_, response) => {
        asked++
        response.end('{"status":"pending"}')
      })
      await once(stopping.listen(0, '127.0.0.1'), 'listening')
      onTestFinished(() => void stopping.close())
      const { port } = stopping.address() as AddressInfo
      const environment = { ...service.environment, OPS_PORT: String(port) }
      expect(await run(['tasks', 'wait', 'ai', 'a', '--timeout', timeout], environment)).toMatchObject({
        code: 1,
        out: '',
        err: 'holdfast tasks wait: the service is stopping, and the task is still pending\n',
      })
      expect(asked).toBe(1)
    },
  )
})

test.each([
  [['show', 'ai', 'nothing'], 'No such task (404): source ai has no task nothing'],
  [['show', 'nobody', 'nothing'], 'No such source (404): there is no source nobody'],
  [['wait', 'ai', 'no/thing'], 'No such task (404): source ai has no task no/thing'],
  [['cancel', 'ai', 'nothing'], 'No such task (404): source ai has no task nothing'],
  [['poll', 'ai', 'nothing'], 'No such task (404): source ai has no task nothing'],
  [
    ['track', 'ai', '..'],
    'The request is not valid (400): task_id has characters, or segments of dots, that no task id has',
  ],
  [['track', 'ai', 'x', '--deadline', '0s'], 'The request is not valid (400): body property deadline_ms must be >= 1'],
  [['list', '--status', 'done'], 'The request is not valid (400): query parameter status must be equal to one of'],
  [['submit', 'ai', '--data', '/nowhere/request.json'], 'ENOENT: no such file or directory'],
])('tasks %j fails in one line', async (args, reason) => {
  const { code, out, err } = await tasks(args)
  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(err).toContain(`holdfast tasks ${args[0]}: ${reason}`)
  expect(err.trimEnd().split('\n')).toHaveLength(1)
})

test('a source whose API is not configured is told', async () => {
  expect(await tasks(['submit', 'bare', '--data', '-'], '{}')).toMatchObject({
    code: 1,
    err: 'holdfast tasks submit: The source is not configured for this (409): the API of source bare is not configured\n',
  })
})
