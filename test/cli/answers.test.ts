import { createServer } from 'node:http'
import { PassThrough, Writable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { runCli } from '../../src/cli/cli.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { run } from './run.ts'
import { startLocal } from './service.ts'

/** A port of this machine at which every request is answered so. */
async function portOf(status: number, type: string, body: string): Promise<string> {
  const server = createServer(
    (_request, response) => void response.writeHead(status, { 'content-type': type }).end(body),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => server.close().closeAllConnections())
  const address = server.address()
  return typeof address === 'object' && address !== null ? String(address.port) : ''
}

const environmentAt = (port: string) => ({ OPS_PORT: port, SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET })

test.each([
  [404, 'text/html', '<h1>Not Found</h1>'],
  [404, 'application/json', '{"error":"not found"}'],
  [200, 'text/html', '<h1>Welcome</h1>'],
])('a command exits with 69 where another server answers %i with %s', async (status, type, body) => {
  const port = await portOf(status, type, body)
  for (const argv of [['status'], ['events', 'show', 'a'], ['events', 'tail']]) {
    const { code, err } = await run(argv, environmentAt(port))
    expect([argv, code]).toEqual([argv, 69])
    expect(err).toContain(`what answers at http://127.0.0.1:${port} is not the ops API of this Holdfast`)
  }
})

test('a command exits with 69 at the public listener, and with 4 at the ops listener for what there is not', async () => {
  const { publicUrl, environment } = await startLocal()
  const argv = ['events', 'show', 'a']
  const { code, err } = await run(argv, { ...environment, OPS_PORT: new URL(publicUrl).port })
  expect({ code, err }).toEqual({ code: 69, err: expect.stringContaining('OPS_HOST and OPS_PORT set this address') })
  expect(await run(argv, environment)).toMatchObject({ code: 4 })
})

test.each([
  ['ENOSPC', 1, 'holdfast: the output could not be written: no space left on device\n'],
  ['EPIPE', 0, ''],
])('a command whose output ends with %s exits with %i', async (failure, expected, told) => {
  const failing = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('no space left on device'), { code: failure })),
  })
  let text = ''
  const err = new Writable({
    write: (chunk, _encoding, done) => {
      text += chunk
      done()
    },
  })
  const code = await runCli(['help'], {
    out: failing,
    err,
    in: new PassThrough().end(),
    interactive: false,
    read: () => readConfig({}),
    endSignal: () => new AbortController().signal,
    move: () => Promise.reject(new Error('nothing is moved here')),
    backUp: () => Promise.reject(new Error('nothing is copied here')),
  })
  expect({ code, text }).toEqual({ code: expected, text: told })
})
