import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { startService, temporaryDirectory } from '../support/service.ts'

/** One system call of an strace line: `pid time name(args) = result`. */
interface Call {
  readonly at: number
  readonly name: string
  readonly text: string
}

const LINE = /^\d+\s+(?<at>\d+\.\d+)\s+(?:<\.\.\. )?(?<name>\w+)(?<text>.*)$/

const callsIn = (trace: string): Call[] =>
  trace.split('\n').flatMap((line) => {
    const { at, name, text } = LINE.exec(line)?.groups ?? {}
    return at === undefined || name === undefined ? [] : [{ at: Number(at), name, text: text ?? '' }]
  })

/** Watches every thread of a process; resolves, once it does, with what ends that and gives the calls. */
async function watch(pid: number, file: string): Promise<() => Promise<Call[]>> {
  const options = ['-f', '-ttt', '-y', '-s', '64', '-e', 'trace=read,write,writev,fsync,fdatasync', '-o', file]
  const strace = spawn('strace', [...options, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(strace, 'exit')
  const attached = Promise.withResolvers<void>()
  strace.stderr.on('data', (text: Buffer) => text.includes('attached') && attached.resolve())
  void exited.then(() => attached.reject(new Error('strace could not attach')))
  await attached.promise
  return async () => {
    strace.kill('SIGINT')
    await exited
    return callsIn(readFileSync(file, 'utf8'))
  }
}

test('between the read of a request and its 200 lies an fsync of the write-ahead log', async () => {
  const directory = temporaryDirectory()
  // No handler wants these events, so that no commit but their own can be what is seen.
  const service = await startService({ HANDLERS_DIR: directory }, directory)
  const stopWatching = await watch(Number(service.child.pid), join(directory, 'trace'))
  const rounds = 10
  for (let n = 0; n < rounds; n++) {
    expect((await post(service.publicUrl, signedEvent('fsync.probe'))).status).toBe(200)
  }
  const calls = await stopWatching()

  const requests = calls.filter(({ name, text }) => name === 'read' && text.includes('POST /v1/webhooks/ai'))
  const answers = calls.filter(({ name, text }) => name.startsWith('write') && text.includes('HTTP/1.1 200 OK'))
  const syncs = calls.filter(
    ({ name, text }) => /^f(data)?sync$/.test(name) && !text.includes('resumed') && text.includes('holdfast.db-wal'),
  )
  expect(requests).toHaveLength(rounds)
  expect(answers).toHaveLength(rounds)
  const between = requests.map(
    ({ at }, n) => syncs.filter((sync) => sync.at > at && sync.at < (answers[n]?.at ?? 0)).length,
  )
  expect(
    between.every((count) => count > 0),
    `fsyncs between: ${between.join()}`,
  ).toBe(true)
  expect(await service.stop()).toBe(0)
})
