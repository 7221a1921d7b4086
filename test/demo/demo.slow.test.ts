import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const TIMEOUT_MS = 60_000
/** Other tests keep the machine busy; `npm run demo` itself gives up after 18 s. */
const MAX_DEMO_MS = 50_000

test('the demonstration shows every step of an event and ends by itself', { timeout: TIMEOUT_MS }, async () => {
  const demo = join(import.meta.dirname, '../../src/demo/demo.ts')
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [demo, String(MAX_DEMO_MS)], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
  })
  expect(stderr).toBe('')
  for (const line of [
    /1\. .*\n.*POST.*\n.*200 after [\d.]+ ms {2}kept as .*\n.*handler tokens, attempt 1: counted 650 tokens/,
    /2\. .*\n.*POST.*\n.*200 after [\d.]+ ms {2}duplicate of/,
    /3\. .*\n.*POST.*\n.*401 after/,
    /is unhandled\n.*is quarantined: /,
    /shaky, attempt 1: .*; again in \d+ ms\n.*shaky, attempt 2: .*\n.*shaky, attempt 3: got through/,
    /the delivery is dead\n.*replay\n.*billing, attempt 1: wrote it/,
    /7\. .*\n.*POST \/v1\/tasks .*\n.*POST \/tasks, answered with task_1\n.*201 {2}task_1 is pending\n.*wait=10\n/,
    /the provider finishes it\n.*POST.*evt_task_1.*\n.*200 .*kept as .*\n.*handler tasks, .*completed of task_1, origin webhook/,
    /origin webhook\n.*200, \d+ ms after the webhook was sent {2}task_1 is completed, resolved by webhook\n/,
    /its webhook is lost.*\n.*wait=10\n(.*GET \/tasks\/task_2, .*\n)*.*GET \/tasks\/task_2, answered with completed\n/,
    /task_2 is completed, resolved by poll; asked .*\n.*handler tasks, attempt 1: task\.completed of task_2, origin poll/,
    /9\. .*\n.*POST.*evt_task_2.*\n.*200 .*kept as .*\n.* is superseded: no handler is given it\n/,
    /task_3 is expired, resolved by expiry; asked .*\n.*handler tasks, attempt 1: task\.expired of task_3/,
    /11\. .*\n.*\n.*200 .*\n.*killed with SIGKILL\n.*handler shaky/,
    /8 events acknowledged, all of them kept, none lost; 2 more/,
  ]) {
    expect(stdout).toMatch(line)
  }
  expect(stdout).not.toMatch(/whsec_|Bearer/)
})
