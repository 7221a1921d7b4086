import { expect, test } from 'vitest'
import { openStream } from '../support/event-stream.ts'
import { post, signedEvent } from '../support/events.ts'
import { startLocal } from '../support/local-service.ts'

test('the service tells live streams that it stops, and does not wait for them', async () => {
  const service = await startLocal({ SHUTDOWN_GRACE_MS: '40000' })
  const streams = await Promise.all(Array.from({ length: 10 }, () => openStream(`${service.opsUrl}/v1/live`)))
  const { uid } = await post(service.publicUrl, signedEvent('completion.finished'))
  for (const stream of streams) expect((await stream.next())?.data.uid).toBe(uid)
  const startedMs = performance.now()
  const stopped = service.stop()
  for (const stream of streams)
    expect(await stream.next()).toMatchObject({ event: 'over', data: { reason: 'stopping' } })
  await stopped
  expect(performance.now() - startedMs).toBeLessThan(30_000)
})
