import { expect, onTestFinished, test } from 'vitest'
import { run } from '../cli/run.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { startRelay } from '../support/postgres/relay.ts'
import { ownSchema } from '../support/postgres/schema.ts'

test('a reload while the database is away changes nothing, and is no fault of the configuration', async () => {
  const url = new URL(ownSchema())
  const relay = await startRelay(Number(url.port))
  url.port = String(relay.port)
  const service = await startLocal({ DATABASE_URL: url.href })
  onTestFinished(() => relay.close())
  service.configured.RETENTION_DAYS = '7'
  await relay.cut()
  const { code, err } = await run(['reload'], service.environment)
  expect({ code, err }).toEqual({
    code: 1,
    err: expect.stringMatching(/^holdfast reload: Not available now.*\n {2}- the database, .*, is away: /),
  })
  const page = async () => (await fetch(`${service.opsUrl}/console/config`)).text()
  expect(await page()).toMatch(/<b>Not reloaded<.b> at .* UTC: the database was away/)
  expect(await page()).not.toContain('the last reload was refused')
  await relay.resume()
  await eventually(
    () => run(['reload'], service.environment),
    (reloaded) => reloaded.code === 0 && reloaded.out.includes('RETENTION_DAYS'),
  )
  expect(await page()).not.toContain('Not reloaded')
})
