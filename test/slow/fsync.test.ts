import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { newEvent } from '../contract/store-samples.ts'
import { openAt } from '../storage/database-file.ts'
import { post, signedEvent } from '../support/events.ts'
import { startService, temporaryDirectory } from '../support/service.ts'
import { isOf, isSync, printed, traceScript } from './trace.ts'

/** One system call of an strace line: `pid time name(args) = result`. */
interface TimedCall {
  readonly at: number
  readonly name: string
  readonly text: string
}

const LINE = /^\d+\s+(?<at>\d+\.\d+)\s+(?:<\.\.\. )?(?<name>\w+)(?<text>.*)$/

const timedCallsIn = (trace: string): TimedCall[] =>
  trace.split('\n').flatMap((line) => {
    const { at, name, text } = LINE.exec(line)?.groups ?? {}
    return at === undefined || name === undefined ? [] : [{ at: Number(at), name, text: text ?? '' }]
  })

/** Watches every thread of a process; resolves, once it does, with what ends that and gives the calls. */
async function watch(pid: number, file: string): Promise<() => Promise<TimedCall[]>> {
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
    return timedCallsIn(readFileSync(file, 'utf8'))
  }
}

test('the service fsyncs the write-ahead log between reading a request and answering 200', async () => {
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

test('after a process was killed, the next one fsyncs what is left in the log before it answers anything', async () => {
  const [before, after] = ['before', 'after'].map((name) => join(temporaryDirectory(), `${name}.db`))
  if (before === undefined || after === undefined) return
  const store = await openAt(before)
  await store.append(newEvent({ id: 'left', handlers: [] }))
  for (const suffix of ['', '-wal']) copyFileSync(before + suffix, after + suffix)

  const script = fileURLToPath(new URL('leases-child.ts', import.meta.url))
  const calls = await traceScript(script, [after, '1'], `${after}.trace`, 64)
  const opened = calls.findIndex((call) => printed(call) === 'append')
  expect(calls.slice(0, opened).some((call) => isSync(call) && isOf(call, 'after.db-wal'))).toBe(true)
})

test('an event costs one fsync, before its acknowledgement; its lease, claim and settlement cost none', async () => {
  const directory = temporaryDirectory()
  const script = fileURLToPath(new URL('leases-child.ts', import.meta.url))
  const rounds = 20
  const calls = await traceScript(
    script,
    [join(directory, 'holdfast.db'), String(rounds)],
    join(directory, 'trace'),
    64,
  )

  const fsyncs = new Map<string, number[]>()
  let step = 'open'
  for (const call of calls) {
    const text = printed(call)
    if (text !== undefined) {
      step = text
      fsyncs.set(step, [...(fsyncs.get(step) ?? []), 0])
    } else if (isSync(call)) fsyncs.set(step, (fsyncs.get(step) ?? [0]).with(-1, (fsyncs.get(step)?.at(-1) ?? 0) + 1))
  }
  expect(fsyncs.get('append')).toEqual(Array(2 * rounds).fill(1))
  for (const [step, count] of [
    ['acknowledged', 2 * rounds],
    ['settle', 2 * rounds],
    ['settled', 2 * rounds],
    ['claim', rounds],
  ] as const)
    expect(fsyncs.get(step), step).toEqual(Array(count).fill(0))
})
