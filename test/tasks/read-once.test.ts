import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import ai from '../../src/providers/ai/provider.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'
import { startSourcePoller } from '../support/source-poller.ts'

/** A module of a user's own that writes down each call of its task functions. */
const moduleWith = (calls: string): string => `
  import { appendFileSync } from 'node:fs'
  const note = (name, task) => appendFileSync(${JSON.stringify(calls)}, name + ' ' + task + '\\n')
  export default {
    name: 'acme',
    verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
    event: { type: 'body:type' },
    api: {
      tasks: {
        poll: (id) => ({ method: 'GET', path: '/tasks/' + id }),
        read: ({ id, status, text }, task) => {
          note('read', task)
          if (id !== task) return undefined
          if (status !== 'done') return { status: 'pending', word: status }
          return { status: 'completed', word: status, event: { type: 'acme.done', data: { id, length: text?.length } } }
        },
        submit: {
          request: ({ request }) => {
            note('request', request.id)
            return { method: 'POST', path: '/tasks', json: request }
          },
          taskId: ({ id }) => {
            note('taskId', id)
            return id
          },
          callsBack: false,
          idempotent: true,
        },
      },
    },
  }
`

/** A provider whose tasks are pending at their first poll and done at the second, with a text of the given length. */
async function startProvider(length: number): Promise<{ readonly url: string; readonly polls: () => number }> {
  let polls = 0
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      if (request.method === 'POST') {
        response.end(body)
        return
      }
      const id = request.url?.split('/').pop()
      const isDone = ++polls > 1
      response.end(JSON.stringify({ id, status: isDone ? 'done' : 'running', text: 'x'.repeat(length) }))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, polls: () => polls }
}

test.each([
  ['in its module’s thread', 10, false],
  ['in the thread of long bodies for its module', 20_000, false],
  [
    'in the thread of long bodies for its module, with an answer too long to be parsed in the main thread',
    100_000,
    false,
  ],
  ['with an answer of which only the outline is stored', 400_000, true],
])('a user’s module reads each answer to a poll and to a submission once, %s', async (_, length, isTruncated) => {
  const directory = temporaryDirectory()
  const calls = join(directory, 'calls')
  const providers = join(directory, 'providers')
  mkdirSync(providers)
  writeFileSync(calls, '')
  writeFileSync(join(providers, 'acme.mjs'), moduleWith(calls))
  const provider = await startProvider(length)
  const service = await startLocal({
    PROVIDERS_DIR: providers,
    HANDLERS_DIR: handlersIn(directory, { 'none.js': 'export default () => {}' }),
    SOURCES: 'acme',
    SOURCE_ACME_SECRET: 'a-token-of-twenty-four-characters',
    SOURCE_ACME_API_URL: provider.url,
    TASK_MAX_WAIT_MS: '0',
    POLL_INTERVAL_MS: '20',
    ANSWER_LIMIT_BYTES: '200000',
  })
  const begun = await fetch(`${service.opsUrl}/v1/tasks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source: 'acme', submit: { id: 'task_1' } }),
  })
  expect(await begun.json()).toMatchObject({ task_id: 'task_1', status: 'pending' })
  const ended = await eventually(
    () => service.api('/v1/tasks/acme/task_1'),
    ({ status }) => status !== 'pending',
  )
  expect(ended).toMatchObject({ status: 'completed', resolved_by: 'poll', provider_status: 'done' })
  expect(ended.last_error).toEqual(isTruncated ? expect.stringContaining('longer than 200000 bytes') : null)
  expect(await service.api(`/v1/events/${ended.event_uid}`)).toMatchObject({ type: 'acme.done', status: 'unhandled' })
  expect(provider.polls()).toBe(2)
  expect(readFileSync(calls, 'utf8').trim().split('\n')).toEqual([
    'request task_1',
    'taskId task_1',
    'read task_1',
    'read task_1',
  ])
  await service.stop()
})

test('a shipped provider module reads each answer to a poll once', async () => {
  let reads = 0
  const read: typeof ai.api.tasks.read = (answer, task) => {
    reads++
    return ai.api.tasks.read(answer, task)
  }
  const { provider, track, pass, task } = await startSourcePoller({ maxWaitMs: 0, tasksApi: { read } })
  const [id = ''] = await track()
  await pass()
  provider.finish(id, 'completed')
  await pass(600_000)
  expect(await task(id)).toMatchObject({ status: 'completed', resolvedBy: 'poll', polls: 2 })
  expect(provider.seen.pollsOf(id)).toBe(2)
  expect(reads).toBe(2)
})
