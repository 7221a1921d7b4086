import { expect, test } from 'vitest'
import { post, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'

const sent = (event: object) => {
  const body = JSON.stringify(event)
  return { id: '', body, headers: signedHeaders(body) }
}
const CUT = { id: 'q1', type: 'completion.finished', created_at: '2026-11-26T10:00:00Z', data: { completion_id: 'c' } }
const WHOLE = {
  ...CUT,
  data: {
    completion_id: 'c',
    model: 'm',
    finish_reason: 'stop',
    content: 'x',
    request_id: 'r',
    prompt_tokens: 1,
    completion_tokens: 2,
    total_tokens: 3,
  },
}

const handled = (service: LocalService, uid: string) =>
  eventually(
    () => service.api(`/v1/events/${uid}`),
    ({ deliveries }) =>
      deliveries.length > 0 && deliveries.every(({ state }: { state: string }) => state === 'succeeded'),
  )

test('an event that was cut short is quarantined, and the complete event that is sent later under its id runs', async () => {
  const service = await startLocal()
  const cut = await post(service.publicUrl, sent(CUT))
  const whole = await post(service.publicUrl, sent(WHOLE))
  expect(whole).toMatchObject({ status: 200, duplicate: false })
  await handled(service, whole.uid)
  expect(await service.api(`/v1/events/${cut.uid}`)).toMatchObject({ status: 'quarantined', deliveries: [] })
  expect(await post(service.publicUrl, sent(CUT))).toMatchObject({ uid: cut.uid, duplicate: true })
  expect(await post(service.publicUrl, sent(WHOLE))).toMatchObject({ uid: whole.uid, duplicate: true })
})
