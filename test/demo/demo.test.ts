import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('the demonstration shows the whole road and ends by itself', async () => {
  const demo = join(import.meta.dirname, '../../src/demo/demo.ts')
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [demo], { env: { PATH: process.env.PATH } })
  expect(stderr).toBe('')
  for (const line of [
    /1\. .*\n.*POST.*\n.*200 after [\d.]+ ms {2}kept as .*\n.*handler tokens, attempt 1: counted 650 tokens/,
    /2\. .*\n.*POST.*\n.*200 after [\d.]+ ms {2}duplicate of/,
    /3\. .*\n.*POST.*\n.*401 after/,
    /is unhandled\n.*is quarantined: /,
    /shaky, attempt 1: .*; again in \d+ ms\n.*shaky, attempt 2: .*\n.*shaky, attempt 3: got through/,
    /the delivery is dead\n.*replay\n.*billing, attempt 1: wrote it/,
    /killed with SIGKILL\n.*handler shaky/,
    /6 events acknowledged, 6 kept, none lost/,
  ]) {
    expect(stdout).toMatch(line)
  }
})
