import { PassThrough } from 'node:stream'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { runCli } from '../../src/cli/cli.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService
beforeAll(async () => {
  service = await startLocal({
    SOURCES: 'ai,forms',
    SOURCE_FORMS_PROVIDER: 'ai',
    SOURCE_FORMS_SECRET: 'whsec_aG9sZGZhc3QtdGVzdC1zZWNyZXQtMzItYnl0ZXMh',
  })
})

/** Runs `holdfast events tail` until `end`, which gives its exit code. */
function tail(...args: string[]) {
  const ending = new AbortController()
  const [out, err] = [new PassThrough(), new PassThrough()]
  const text = { out: '', err: '' }
  out.on('data', (chunk) => (text.out += String(chunk)))
  err.on('data', (chunk) => (text.err += String(chunk)))
  const running = runCli(['events', 'tail', ...args], {
    out,
    err,
    in: new PassThrough(),
    interactive: false,
    endSignal: () => ending.signal,
    read: () => readConfig(service.environment),
    move: () => Promise.reject(new Error('nothing is moved here')),
    backUp: (request) => backUp(request, { signal: new AbortController().signal, onLog: () => {} }),
  })
  const end = (): Promise<number> => {
    ending.abort()
    return running
  }
  onTestFinished(async () => void (await end()))
  const wrote = (count: number) =>
    eventually(
      async () => text.out.split('\n').slice(0, -1),
      (lines) => lines.length >= count,
    )
  return { text, wrote, end }
}

const send = async (type: string, path?: string): Promise<string> =>
  (await post(service.publicUrl, signedEvent(type), path)).uid

test('events tail shows a line for each event of the filter, since a time and from now on, and ends with exit code 0', async () => {
  const uids = [await send('tail.one'), await send('other.one'), await send('tail.two')]
  const { wrote, text, end } = tail('--type', 'tail.*', '--since', '1h')
  await wrote(2)
  uids.push(await send('tail.three', '/v1/webhooks/forms'))
  const lines = await wrote(3)
  expect(lines).toEqual([
    expect.stringMatching(new RegExp(`^\\d{4}-\\S+Z  unhandled    ai  tail\\.one  ${uids[0]}$`)),
    expect.stringMatching(new RegExp(`  ai  tail\\.two  ${uids[2]}$`)),
    expect.stringMatching(new RegExp(`  forms  tail\\.three  ${uids[3]}$`)),
  ])
  expect(await end()).toBe(0)
  expect(text.err).toBe('')
})

test('events tail shows an event of the payload and the outcome that are asked for, with the outcome', async () => {
  await send('outcome.one')
  const uid = await send('outcome.two')
  const { wrote } = tail(
    '--outcome',
    'none',
    '--contains',
    'OUTCOME.TWO',
    '--match',
    'type:outcome.two',
    '--since',
    '1h',
  )
  expect(await wrote(1)).toEqual([expect.stringMatching(new RegExp(`  none +ai  outcome\\.two  ${uid}$`))])
})

test('events tail --json writes each event as a line of JSON, as the list has it', async () => {
  const uid = await send('json.one')
  const { wrote } = tail('--json', '--since', '1h', '--q', uid)
  const [line = ''] = await wrote(1)
  const { items } = await service.api(`/v1/events?q=${uid}`)
  expect(JSON.parse(line)).toEqual(items[0])
})

test('events tail fails if there is no service, or an option is not valid', async () => {
  expect(await run(['events', 'tail'], { OPS_PORT: '1' })).toMatchObject({ code: 69 })
  expect(await run(['events', 'tail', '--status', 'acepted'], {})).toMatchObject({
    code: 2,
    err: expect.stringContaining('did you mean accepted?'),
  })
  expect(await run(['events', 'tail', '--since', 'soon'], service.environment)).toMatchObject({ code: 2 })
})
