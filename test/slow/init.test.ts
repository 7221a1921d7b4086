import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { INSTALL, makeDirectory, packHoldfast, run, succeed, write } from '../support/package.ts'
import { type Service, startProgram } from '../support/service.ts'

const { directory, remove } = makeDirectory('init')
const project = join(directory, 'my-hooks')

beforeAll(async () => {
  const { tarball } = await packHoldfast(directory)
  write(directory, { 'tool/package.json': '{}' })
  await succeed([...INSTALL, tarball], join(directory, 'tool'))
  await succeed(['tool/node_modules/.bin/holdfast', 'init', 'my-hooks', '--holdfast', tarball], directory)
  await succeed([...INSTALL], project)
}, 300_000)
afterAll(remove, 300_000)

/** Sends an event, signed with the secret that the first start has made. */
async function receivesSigned(service: Service): Promise<void> {
  const data = {
    completion_id: 'cmpl_1',
    model: 'gpt-4o',
    prompt_tokens: 1,
    completion_tokens: 2,
    total_tokens: 3,
    finish_reason: 'stop',
    content: '',
    request_id: 'req_1',
  }
  const id = `evt_${service.child.pid}`
  const at = new Date()
  const body = JSON.stringify({ id, type: 'completion.finished', created_at: at.toISOString(), data })
  const secret = readFileSync(join(project, 'data/ai.secret'), 'utf8').trim()
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  }
  const answer = await fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', headers, body })
  expect(answer.status).toBe(200)
  await service.logged(({ msg, tokens }) => msg === 'completion finished' && tokens === 3)
}

describe('the project that holdfast init makes', () => {
  test('passes its tests', async () => {
    expect(await succeed(['npm', 'test', '--', '--test-reporter=tap'], project)).toMatch(/^# pass 2$/m)
  })

  test('passes its check of types, settings and handlers', async () => {
    expect(await run(['npm', 'run', '--silent', 'check'], project)).toEqual({
      code: 0,
      out: 'ok: 1 source(s), 1 handler(s)\n',
      err: '',
    })
  })

  test.each([
    ['npm start', ['npm', 'start', '--silent'], 'SIGTERM for npm alone'],
    ['npm run dev', ['npm', 'run', 'dev', '--silent'], 'a signal from the terminal'],
  ])('$0 serves, runs its handler on a signed event, and stops on $2', async (_title, command, signal) => {
    const service = await startProgram(command, project, { LOG_FORMAT: 'json' }, !signal.startsWith('SIGTERM'))
    await receivesSigned(service)
    await service.stop()
    expect(service.logs.map(({ msg }) => msg)).toContain('stopped')
  })

  test('says which files npm run check finds faults in', async () => {
    const handler = join(project, 'handlers/completions.ts')
    await succeed(['sed', '-i', 's/total_tokens: tokens/totl_tokens: tokens/', handler], project)
    const { code, out } = await run(['npm', 'run', '--silent', 'check'], project)
    expect({ code, out }).toMatchObject({
      code: 1,
      out: expect.stringContaining("Property 'totl_tokens' does not exist"),
    })
  })
})
