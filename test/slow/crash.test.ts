import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type Service, startService, temporaryDirectory } from '../support/service.ts'

const ROUNDS = 20
const SENDERS = 16

/** Keeps what was acknowledged: event id → uid. */
type AckLedger = Map<string, string>

/** Sends without pause, from several senders, until the service is gone. */
async function sendUntilGone(service: Service, ledger: AckLedger): Promise<void> {
  const sender = async (): Promise<void> => {
    for (;;) {
      const event = signedEvent('crash.probe', { n: ledger.size })
      try {
        const { status, uid } = await post(service.publicUrl, event)
        if (status === 200) ledger.set(event.id, uid)
      } catch {
        return
      }
    }
  }
  await Promise.all(Array.from({ length: SENDERS }, sender))
}

async function storedIds(service: Service): Promise<Map<string, string>> {
  const stored = new Map<string, string>()
  let cursor: string | null | undefined
  do {
    const page = await service.api(`/v1/events?limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`)
    for (const { id, uid } of page.items) stored.set(id, uid)
    cursor = page.next_cursor
  } while (cursor)
  return stored
}

test(`the service loses no acknowledged event and leaves none unhandled over ${ROUNDS} kills under load`, async () => {
  const directory = temporaryDirectory()
  const handled = join(directory, 'handled.txt')
  writeFileSync(handled, '')
  mkdirSync(join(directory, 'handlers'))
  writeFileSync(
    join(directory, 'handlers', 'probe.ts'),
    `import { appendFileSync } from 'node:fs'
     export default (router) => router.on('crash.probe', (event) => appendFileSync(${JSON.stringify(handled)}, event.uid + '\\n'))`,
  )
  const environment = { HANDLERS_DIR: join(directory, 'handlers'), RETRY_BASE_MS: '50' }
  const ledger: AckLedger = new Map()

  for (let round = 0; round < ROUNDS; round++) {
    const service = await startService(environment, directory)
    const sending = sendUntilGone(service, ledger)
    // The kill falls wherever it falls: the time is the fault's, not something the test waits for.
    await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400))
    await service.kill()
    await sending
  }

  const service = await startService(environment, directory)
  const stored = await storedIds(service)
  const missing = [...ledger].filter(([id, uid]) => stored.get(id) !== uid)
  expect(ledger.size).toBeGreaterThan(ROUNDS * SENDERS)
  expect(missing).toEqual([])

  await eventually(
    () => service.api('/v1/deliveries?state=pending&limit=1'),
    ({ items }) => items.length === 0,
    60_000,
  )
  await eventually(
    () => service.api('/v1/deliveries?state=running&limit=1'),
    ({ items }) => items.length === 0,
    60_000,
  )
  expect((await service.api('/v1/deliveries?state=dead')).items).toEqual([])
  const runs = new Set(readFileSync(handled, 'utf8').split('\n'))
  expect([...ledger.values()].filter((uid) => !runs.has(uid))).toEqual([])
  expect(await service.stop()).toBe(0)
})
