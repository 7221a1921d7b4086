import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type SignedEvent, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'

/** Offers an event's body, and sends it when it is asked for. Gives the status, and whether it was asked for. */
async function offer(publicUrl: string, { body, headers }: SignedEvent) {
  const length = String(Buffer.byteLength(body))
  const sending = request(`${publicUrl}/v1/webhooks/ai`, {
    method: 'POST',
    headers: { ...headers, expect: '100-continue', 'content-length': length },
  })
  let isAsked = false
  sending.on('continue', () => {
    isAsked = true
    sending.end(body)
  })
  sending.flushHeaders()
  const [answer] = (await once(sending, 'response')) as [IncomingMessage]
  answer.resume()
  sending.destroy()
  return { status: answer.statusCode, isAsked }
}

test('the service does not ask for the body of a request with Expect: 100-continue while the store takes no events, and asks for it again afterwards', async () => {
  const { publicUrl, directory } = await startLocal()
  const file = join(directory, 'holdfast.db')
  const readiness = async () => (await fetch(`${publicUrl}/readyz`)).status
  expect(await offer(publicUrl, signedEvent('completion.finished'))).toEqual({ status: 200, isAsked: true })
  renameSync(file, `${file}.away`)
  await eventually(readiness, (status) => status === 503)
  expect(await offer(publicUrl, signedEvent('completion.finished'))).toEqual({ status: 503, isAsked: false })
  renameSync(`${file}.away`, file)
  await eventually(readiness, (status) => status === 200, 20_000)
  expect(await offer(publicUrl, signedEvent('completion.finished'))).toEqual({ status: 200, isAsked: true })
})
