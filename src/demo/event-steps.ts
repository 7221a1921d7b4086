import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sampleData } from '../providers/ai/samples.ts'
import { expect, handled, say, step } from './account.ts'
import { eventOf, ops } from './ops.ts'
import { createSender, eventBody, keptAs, type Sender } from './sender.ts'
import type { DemoService } from './service.ts'

const MAX_LOOKS = 100
const LOOK_AGAIN_MS = 20

const ANOTHER_SECRET = `whsec_${'QUFB'.repeat(8)}`

const completion = (id: string): string => eventBody(id, 'completion.finished', sampleData('completion.finished'))

/** What becomes of events: good ones, odd ones, forged ones, and those whose handler fails. */
export async function tellOfEvents(service: DemoService, sender: Sender, directory: string): Promise<void> {
  const url = `${service.publicUrl}/v1/webhooks/ai`
  await tellOfTheDoor(service, sender, url)

  step('A handler that fails is run again after a while, and again, until it succeeds')
  const shaky = keptAs(await sender.send(url, eventBody('evt_5', 'demo.shaky', {})))
  for (let failures = 0; failures < 2; failures++) {
    const line = await service.logged(({ uid, msg }) => uid === shaky && msg === 'attempt failed')
    say(`  handler ${line.handler}, attempt ${line.attempt}: ${line.error}; again in ${line.retry_in_ms} ms`)
  }
  await handled(service, shaky)

  step('A handler that fails for good leaves a dead letter; the cause is mended, and it is replayed')
  const invoice = keptAs(await sender.send(url, eventBody('evt_6', 'demo.invoice', { amount: 7 })))
  const dead = await service.logged(({ uid, msg }) => uid === invoice && msg === 'delivery dead')
  say(`  handler ${dead.handler}: ${dead.error}; the delivery is dead`)
  await deadLetterOf(service, invoice)
  writeFileSync(join(directory, 'ledger-is-open'), '')
  say(`→ POST /v1/events/${invoice}/replay`)
  await ops(service, `/v1/events/${invoice}/replay`, { method: 'POST' })
  await handled(service, invoice)
}

/** The log runs ahead of the disk: the delivery is dead once that is written down. */
async function deadLetterOf(service: DemoService, uid: string): Promise<void> {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const { items } = await ops<{ items: { event_uid: string }[] }>(service, '/v1/deliveries?state=dead')
    if (items.some(({ event_uid }) => event_uid === uid)) return
    await sleep(LOOK_AGAIN_MS)
  }
  expect(false, 'a dead letter')
}

async function tellOfTheDoor(service: DemoService, sender: Sender, url: string): Promise<void> {
  step('An event arrives: it is proven authentic, written to disk, acknowledged, and then handled')
  const body = completion('evt_1')
  const first = keptAs(await sender.send(url, body))
  await handled(service, first)

  step('The provider sends it again: it knows the first, and nothing runs twice')
  const again = await sender.send(url, body)
  expect(again.duplicate && again.uid === first, 'a duplicate of the first')

  step('Somebody else sends one: the signature is not ours')
  const forged = await createSender(ANOTHER_SECRET).send(url, completion('evt_2'))
  expect(forged.status === 401, '401')

  step('An event that nobody handles, and one that is not as it should be: both are kept, and the provider is content')
  const unhandled = keptAs(await sender.send(url, eventBody('evt_3', 'weather.changed', {})))
  const odd = keptAs(await sender.send(url, eventBody('evt_4', 'completion.finished', { completion_id: 7 })))
  for (const uid of [unhandled, odd]) {
    const { status, reasons } = await eventOf(service, uid)
    expect(status === (uid === odd ? 'quarantined' : 'unhandled'), 'one unhandled and one quarantined')
    say(`  ${uid} is ${status}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`)
  }
}
