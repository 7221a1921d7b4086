import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readEnvironment } from '../app/environment.ts'
import { messageOf } from '../domain/errors.ts'
import { newStandardSecret } from '../signatures/standard-webhooks.ts'
import { currentStep, expect, say, step } from './narration.ts'
import { createSender, type DemoProvider, eventBody, keptAs, startProvider } from './provider.ts'
import { type DemoService, handled, ops, startService } from './service.ts'
import { MAX_WAIT_MS, POLL_INTERVAL_MS, showEvents, showTasks } from './steps.ts'

/**
 * Everything that Holdfast does, in one terminal: `npm run demo`. Starts a real service in a directory of its own and a small
 * provider, and sends real signed requests over HTTP. Ends by itself, with exit code 1 if a step fails.
 */

/** After this time the demonstration fails. The test suite sets a longer time, because its machine may be busy. */
const TIMEOUT_MS = Number(process.argv[2] ?? 18_000)
/** Events that come without a webhook: the answer to a poll, and the end of a task at its deadline. */
const OWN_EVENTS = 2

const SECRET = newStandardSecret()
const API_KEY = randomBytes(24).toString('base64url')

const directory = mkdtempSync(join(tmpdir(), 'holdfast-demo-'))
const timeout = AbortSignal.timeout(TIMEOUT_MS)
const sender = createSender(SECRET)
let provider: DemoProvider | undefined
let service: DemoService | undefined

function start(apiUrl: string): Promise<DemoService> {
  const { PATH = '' } = readEnvironment()
  const environment = {
    PATH,
    SOURCES: 'ai',
    SOURCE_AI_SECRET: SECRET,
    SOURCE_AI_API_URL: apiUrl,
    SOURCE_AI_API_KEY: API_KEY,
    TASK_MAX_WAIT_MS: String(MAX_WAIT_MS),
    POLL_INTERVAL_MS: String(POLL_INTERVAL_MS),
    RETRY_BASE_MS: '300',
    HANDLER_PROCESSES: '1',
    SHUTDOWN_GRACE_MS: '2000',
  }
  return startService(directory, environment, timeout)
}

async function run(): Promise<void> {
  provider = await startProvider(API_KEY, sender)
  service = await start(provider.url)
  say(`The service runs at ${service.publicUrl}, with one source: ai.`)
  say(`Its provider is a small server of this demonstration, at ${provider.url}.`)

  await showEvents(service, sender, directory)
  await showTasks({ service, provider })

  step('The process is killed right after an acknowledgement, and started again: the event is there, and is handled')
  const last = keptAs(await sender.send(`${service.publicUrl}/v1/webhooks/ai`, eventBody('evt_7', 'demo.shaky', {})))
  await service.end('SIGKILL')
  say('  killed with SIGKILL')
  service = await start(provider.url)
  await handled(service, last)

  const { items } = await ops<{ items: { uid: string }[] }>(service, '/v1/events')
  const kept = new Set(items.map(({ uid }) => uid))
  const { acknowledged } = sender
  expect(
    [...acknowledged].every((uid) => kept.has(uid)),
    'every acknowledged event to be there',
  )
  expect(
    kept.size === acknowledged.size + OWN_EVENTS,
    'what the poll and the deadline brought to be there, and no more',
  )
  expect((await service.end('SIGTERM')) === 0, 'the service to end in order')
  process.stdout.write('\n')
  say(`${acknowledged.size} events acknowledged, all of them kept, none lost; ${OWN_EVENTS} more came by no webhook:`)
  say('what the provider said when it was asked, and the end of a task at its deadline.')
  say('Now yours: npm start, and in a second terminal: npx holdfast send ai completion.finished')
}

try {
  await run()
} catch (error) {
  const what = timeout.aborted ? 'did not happen in time' : messageOf(error)
  process.stderr.write(`\nstep ${currentStep()}: ${what}\n`)
  process.exitCode = 1
  await service?.end('SIGKILL')
} finally {
  await provider?.close()
  rmSync(directory, { recursive: true, force: true })
}
