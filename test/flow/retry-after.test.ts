import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

test('a handler that asks for a retry after an invalid time waits by the retry policy, and the log warns with the value that it gave', async () => {
  const directory = temporaryDirectory()
  const module = 'export default (r) => r.on("thing", { name: "hasty" }, (e, c) => c.retryAfter(e.data.wait * 1000))'
  const HANDLERS_DIR = handlersIn(directory, { 'hasty.js': module })
  const hour = '3600000'
  const service = await startService(
    { HANDLERS_DIR, HANDLER_PROCESSES: '1', RETRY_BASE_MS: hour, RETRY_CAP_MS: hour },
    directory,
  )
  const { uid } = await post(service.publicUrl, signedEvent('thing', {}))
  const warning = await service.logged((line) => line.uid === uid && line.asked !== undefined)
  expect(warning).toMatchObject({ level: 40, handler: 'hasty', asked: 'NaN' })
  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${uid}`),
    (event) => event.deliveries[0].state === 'pending',
  )
  expect(deliveries[0]).toMatchObject({ attempts: 1, history: [{ outcome: 'retry_after' }] })
  expect(deliveries[0].last_error).toContain('after NaN, which is not a time')
  expect(await service.stop()).toBe(0)
})
