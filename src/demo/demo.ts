import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sampleData } from '../cli/samples.ts'
import { readEnvironment } from '../config.ts'
import { messageOf } from '../domain/errors.ts'
import ai from '../providers/ai.ts'
import { signRequest } from '../signatures/sign.ts'
import { type DemoService, startService } from './service.ts'

/**
 * The whole road in one terminal: `npm run demo`. A real service, real signed requests over HTTP, a directory of its own;
 * it ends by itself, and with exit code 1 if any step does not go as told.
 */

const SECRET = 'whsec_dGhpcy1pcy10aGUtZGVtb25zdHJhdGlvbi1zZWNyZXQ='
const TIMEOUT_MS = 18_000

const directory = mkdtempSync(join(tmpdir(), 'holdfast-demo-'))
const { PATH = '' } = readEnvironment()
const start = (): Promise<DemoService> =>
  startService(directory, {
    PATH,
    SOURCES: 'ai',
    SOURCE_AI_SECRET: SECRET,
    RETRY_BASE_MS: '600',
    SHUTDOWN_GRACE_MS: '2000',
  })

let service: DemoService | undefined
let number = 0
/** Uids. */
const acknowledged = new Set<string>()

const bold = (text: string): string => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[22m` : text)
const say = (text: string): void => void process.stdout.write(`   ${text}\n`)
const step = (title: string): void => void process.stdout.write(`\n${bold(`${++number}. ${title}`)}\n`)

function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`expected ${what}`)
}

interface Answer {
  readonly status: number
  readonly uid: string
  readonly duplicate: boolean
  readonly title?: string
}

interface Posted {
  readonly body: string
  readonly answer: Answer
}

/** Sends an event as its provider would, and says what came back. */
async function post(to: DemoService, body: string, secret = SECRET): Promise<Posted> {
  const nowMs = Date.now()
  const bytes = Buffer.from(body)
  const { headers } = signRequest(ai.verify, secret, { id: `msg_${nowMs}_${number}`, body: bytes, nowMs })
  const startedAt = performance.now()
  const response = await fetch(`${to.publicUrl}/v1/webhooks/ai`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: bytes,
  })
  const answer = { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) }
  if (response.ok) acknowledged.add(answer.uid)
  const ms = (performance.now() - startedAt).toFixed(1)
  say(`→ POST /v1/webhooks/ai  ${body.length > 72 ? `${body.slice(0, 72)}…` : body}`)
  const kept = answer.duplicate ? `duplicate of ${answer.uid}` : `kept as ${answer.uid}`
  say(`← ${response.status} after ${ms} ms  ${response.ok ? kept : answer.title}`)
  return { body, answer }
}

const event = (id: string, type: string, data: unknown): string =>
  JSON.stringify({ id, type, created_at: new Date().toISOString(), data })

async function handled(by: DemoService, uid: string): Promise<void> {
  const line = await by.logged((each) => each.uid === uid && each.say !== undefined)
  say(`  handler ${line.handler}, attempt ${line.attempt}: ${line.say}`)
}

async function ops<Body>(of: DemoService, path: string, init?: RequestInit): Promise<Body> {
  const response = await fetch(`${of.opsUrl}${path}`, init)
  expect(response.ok, `${path} to answer`)
  return (await response.json()) as Body
}

async function run(): Promise<void> {
  service = await start()
  say(`The service runs at ${service.publicUrl}, with one source: ai.`)

  step('An event arrives: it is proven authentic, written to disk, acknowledged, and then handled')
  const first = await post(service, event('evt_1', 'completion.finished', sampleData('completion.finished')))
  expect(first.answer.status === 200, '200')
  await handled(service, first.answer.uid)

  step('The provider sends it again: it knows the first, and nothing runs twice')
  const again = await post(service, first.body)
  expect(again.answer.duplicate && again.answer.uid === first.answer.uid, 'a duplicate of the first')

  step('Somebody else sends one: the signature is not ours')
  const forged = await post(
    service,
    event('evt_2', 'completion.finished', sampleData('completion.finished')),
    `whsec_${'QUFB'.repeat(8)}`,
  )
  expect(forged.answer.status === 401, '401')

  step('An event that nobody handles, and one that is not as it should be: both are kept, and the provider is content')
  const unhandled = await post(service, event('evt_3', 'weather.changed', {}))
  const odd = await post(service, event('evt_4', 'completion.finished', { completion_id: 7 }))
  for (const { answer } of [unhandled, odd]) {
    const { status, reasons } = await ops<{ status: string; reasons: string[] }>(service, `/v1/events/${answer.uid}`)
    expect(status === (answer === odd.answer ? 'quarantined' : 'unhandled'), 'one unhandled and one quarantined')
    say(`  ${answer.uid} is ${status}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`)
  }

  step('A handler that fails is run again, each time after a longer wait')
  const shaky = await post(service, event('evt_5', 'demo.shaky', {}))
  for (let failures = 0; failures < 2; failures++) {
    const line = await service.logged(({ uid, msg }) => uid === shaky.answer.uid && msg === 'attempt failed')
    say(`  handler ${line.handler}, attempt ${line.attempt}: ${line.error}; again in ${line.retry_in_ms} ms`)
  }
  await handled(service, shaky.answer.uid)

  step('A handler that fails for good leaves a dead letter; the cause is mended, and it is replayed')
  const invoice = await post(service, event('evt_6', 'demo.invoice', { amount: 7 }))
  const dead = await service.logged(({ uid, msg }) => uid === invoice.answer.uid && msg === 'delivery dead')
  say(`  handler ${dead.handler}: ${dead.error}; the delivery is dead`)
  const letters = await ops<{ items: { event_uid: string }[] }>(service, '/v1/deliveries?state=dead')
  expect(
    letters.items.some(({ event_uid }) => event_uid === invoice.answer.uid),
    'a dead letter',
  )
  writeFileSync(join(directory, 'ledger-is-open'), '')
  say(`→ POST /v1/events/${invoice.answer.uid}/replay`)
  await ops(service, `/v1/events/${invoice.answer.uid}/replay`, { method: 'POST' })
  await handled(service, invoice.answer.uid)

  step('The process is killed right after an acknowledgement, and started again: the event is there, and is handled')
  const last = await post(service, event('evt_7', 'demo.shaky', {}))
  await service.end('SIGKILL')
  say('  killed with SIGKILL')
  service = await start()
  await handled(service, last.answer.uid)

  const { items } = await ops<{ items: { uid: string }[] }>(service, '/v1/events')
  const kept = new Set(items.map(({ uid }) => uid))
  expect(
    [...acknowledged].every((uid) => kept.has(uid)),
    'every acknowledged event to be there',
  )
  await service.end('SIGTERM')
  process.stdout.write('\n')
  say(`${acknowledged.size} events acknowledged, ${kept.size} kept, none lost.`)
  say('Now yours: npm start, and in a second terminal: npx holdfast send ai completion.finished')
}

const watchdog = setTimeout(() => {
  process.stderr.write(`\nstep ${number} did not happen in time\n`)
  process.exitCode = 1
  void service?.end('SIGKILL')
}, TIMEOUT_MS)
try {
  await run()
} catch (error) {
  process.stderr.write(`\nstep ${number}: ${messageOf(error)}\n`)
  process.exitCode = 1
  await service?.end('SIGKILL')
} finally {
  clearTimeout(watchdog)
  rmSync(directory, { recursive: true, force: true })
}
