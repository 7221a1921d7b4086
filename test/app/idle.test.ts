import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('the log and the metrics do not wake an idle process, and a line is still written soon', () => {
  const child = fileURLToPath(new URL('idle-child.ts', import.meta.url))
  const [line, measured] = execFileSync(process.execPath, [child], { encoding: 'utf8' }).trim().split('\n')
  expect(JSON.parse(line ?? '')).toMatchObject({ msg: 'a line' })
  expect(JSON.parse(measured ?? '').turns).toBeLessThan(10)
})
