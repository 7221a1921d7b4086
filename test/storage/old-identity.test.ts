import { expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

const resent = (event: NewEvent, given: Partial<NewEvent> = {}): NewEvent => ({ ...event, uid: newUid(), ...given })
/** As the release before kept a quarantined event: it has its id, and it is not noted whose word `created_at` is. */
const AS_BEFORE = "UPDATE event SET variant = 0, created_at_source = NULL WHERE status = 'quarantined'"

/** Each was kept by the release before: one whose whole event comes now, one that comes again, and one that is replayed. */
async function fill(store: OpenStore): Promise<readonly NewEvent[]> {
  const cut = [1, 2, 3].map(() => newEvent({ status: 'quarantined', reasons: ['why'], handlers: [] }))
  for (const event of cut) await store.append(event)
  return cut
}

async function expectYielding(store: OpenStore, [corrected, repeated, replayed]: readonly NewEvent[]): Promise<void> {
  if (corrected === undefined || repeated === undefined || replayed === undefined) throw new Error('three are needed')
  const whole = resent(corrected, { status: 'accepted', handlers: ['a'] })
  expect(await store.append(whole)).toEqual({ outcome: 'accepted', uid: whole.uid })
  expect(await store.append(resent(whole))).toEqual({ outcome: 'duplicate', uid: whole.uid })
  const again = { eventUid: corrected.uid, handlers: ['a'], status: 'accepted', reasons: [] } as const
  expect(await store.replay(again)).toMatchObject({ status: 'conflict', handlers: [] })

  expect(await store.append(resent(repeated))).toEqual({ outcome: 'duplicate', uid: repeated.uid })
  const other = resent(repeated, { status: 'accepted', body: Buffer.from('other') })
  expect((await store.append(other)).outcome).toBe('accepted')

  expect((await store.replay({ ...again, eventUid: replayed.uid })).handlers).toEqual(['a'])
  expect(await store.append(resent(replayed))).toEqual({ outcome: 'duplicate', uid: replayed.uid })
}

test('an event that the previous release quarantined gives up its id in the embedded store', async () => {
  const path = ownPath()
  const before = await openAt(path)
  const cut = await fill(before)
  await before.close()
  withDatabase(path, (db) => db.exec(AS_BEFORE))
  await expectYielding(await openAt(path), cut)
})

test('an event that the previous release quarantined gives up its id in PostgreSQL', async () => {
  const url = ownSchema()
  const store = await openStore(url)
  onTestFinished(() => store.close())
  const cut = await fill(store)
  await queryIn(url, `${AS_BEFORE}; UPDATE event_key SET variant = ''`)
  await expectYielding(store, cut)
})

test('a body whose event a replica of the previous release has deleted is new in PostgreSQL', async () => {
  const url = ownSchema()
  const store = await openStore(url)
  onTestFinished(() => store.close())
  const known = [
    newEvent({ dedupe: 'body' }),
    newEvent({ dedupe: 'body', status: 'quarantined', reasons: ['why'], handlers: [] }),
  ]
  for (const event of known) await store.append(event)
  // It does not know of body_key.
  await queryIn(url, 'DELETE FROM delivery; DELETE FROM event_key; DELETE FROM event')
  for (const event of known) {
    const again = resent(event, { id: `another ${event.id}` })
    expect(await store.append(again)).toEqual({ outcome: 'accepted', uid: again.uid })
    expect(await store.append(resent(event))).toEqual({ outcome: 'duplicate', uid: again.uid })
  }
})

test('an identity that was taken at a replay is still known after a restart', async () => {
  const path = ownPath()
  const before = await openAt(path)
  const [, , event] = await fill(before)
  if (event === undefined) throw new Error('three are needed')
  await before.replay({ eventUid: event.uid, handlers: ['a'], status: 'accepted', reasons: [] })
  await before.close()
  const store = await openAt(path)
  expect(await store.append(resent(event, { status: 'accepted' }))).toEqual({ outcome: 'duplicate', uid: event.uid })
})
