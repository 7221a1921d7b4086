import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { TaskJson } from '../../src/http/schemas/tasks.ts'
import { run } from './run.ts'
import { NEVER, shareTasks, shown } from './tasks-service.ts'

const { service, provider, tasks } = shareTasks()

describe('tasks wait', () => {
  test('ends with exit code 0 as soon as the task is completed, and shows it', async () => {
    const id = provider().create()
    await tasks(['track', 'ai', id])
    const waiting = tasks(['wait', 'ai', id])
    provider().finish(id, 'completed')
    const { code, out, err } = await waiting
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(shown(out)).toMatchObject({ task: id, status: 'completed' })
  })

  test.each(['failed', 'cancelled'] as const)(
    'ends with exit code 3 when the task has %s, and shows it',
    async (status) => {
      const id = provider().create()
      provider().finish(id, status)
      await tasks(['track', 'ai', id])
      const { code, out, err } = await tasks(['wait', 'ai', id, '--json'])
      expect({ code, err }).toEqual({ code: 3, err: '' })
      expect(JSON.parse(out)).toMatchObject({ task_id: id, status })
    },
  )

  test('ends with exit code 3 when the task has expired', async () => {
    const { uid } = await service()
      .post('/v1/tasks', { source: 'ai', task_id: provider().create(), max_wait_ms: 1_000, deadline_ms: 1 })
      .then(({ body }) => body as TaskJson)
    const { code, out } = await tasks(['wait', 'ai', uid])
    expect(code).toBe(3)
    expect(shown(out)).toMatchObject({ status: 'expired', 'resolved by': 'expiry' })
  })

  test.each(['0s', '1s'])(
    'gives up after %s with exit code 124, says so, and shows the task as it is',
    async (timeout) => {
      const id = provider().create()
      await tasks(['track', 'ai', id, ...NEVER])
      const { code, out, err } = await tasks(['wait', 'ai', id, '--timeout', timeout])
      expect({ code, err }).toEqual({
        code: 124,
        err: `holdfast tasks wait: the task is still pending after ${timeout}\n`,
      })
      expect(shown(out)).toMatchObject({ task: id, status: 'pending' })
    },
  )

  test.each(['5s', '5m'])(
    'with a timeout of %s ends with exit code 1 when the service answers early because it stops',
    async (timeout) => {
      let asked = 0
      const stopping = createServer((_, response) => {
        asked++
        response.end('{"status":"pending"}')
      })
      await once(stopping.listen(0, '127.0.0.1'), 'listening')
      onTestFinished(() => void stopping.close())
      const { port } = stopping.address() as AddressInfo
      const environment = { ...service().environment, OPS_PORT: String(port) }
      expect(await run(['tasks', 'wait', 'ai', 'a', '--timeout', timeout], environment)).toMatchObject({
        code: 1,
        out: '',
        err: 'holdfast tasks wait: the service is stopping, and the task is still pending\n',
      })
      expect(asked).toBe(1)
    },
  )
})
