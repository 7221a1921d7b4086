import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { startLocal } from '../support/local-service.ts'
import { mainFile } from '../support/service.ts'
import { run } from './run.ts'

test('backup writes a backup of the store that a service uses, says what is in it, and never replaces a file', async () => {
  const service = await startLocal()
  for (let n = 0; n < 3; n++) await post(service.publicUrl, signedEvent('no.such'))
  const file = join(service.directory, 'backup.db')
  const environment = { DATABASE_URL: `file:${join(service.directory, 'holdfast.db')}` }
  const { stdout } = await promisify(execFile)(process.execPath, [mainFile, 'backup', file], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...environment },
    cwd: service.directory,
  })
  expect(stdout).toMatch(/^events +3$/m)
  expect(stdout).toMatch(/^verified +read back whole/m)
  expect(await run(['backup', file], environment)).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining('backup.db exists: a backup never replaces a file'),
  })
  const again = join(service.directory, 'again.db')
  const { code, out } = await run(['backup', again, '--json'], environment)
  expect([code, JSON.parse(out)]).toMatchObject([0, { file: again, rows: { event: 3, event_body: 3 } }])
  await service.stop()

  const stopped = join(service.directory, 'stopped.db')
  expect(await run(['backup', stopped], environment)).toMatchObject({ code: 0, err: '' })
  expect(existsSync(stopped)).toBe(true)
  expect(await run(['backup', again], { DATABASE_URL: 'nonsense' })).toMatchObject({ code: 78, out: '' })
})
