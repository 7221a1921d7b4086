import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'
import { moveStore } from '../../src/storage/transfer/move.ts'
import { newEvent, START_MS } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { openAt, openRestored, ownDirectory, ownPath } from './database-file.ts'
import { everythingIn, fillStore } from './moved-store.ts'

/** More than one batch. */
const MANY = 520

const make = (databaseUrl: string, file: string) =>
  backUp({ databaseUrl, file, onProgress: () => {} }, { signal: new AbortController().signal, onLog: () => {} })

test('a backup of an embedded store has all that it had', async () => {
  const [path, file] = [ownPath(), join(ownDirectory(), 'backup.db')]
  await fillStore(path, MANY)
  expect(await make(`file:${path}`, file)).toMatchObject({ outcome: 'done' })
  const [before, after] = [await openAt(path), await openRestored(file)]
  expect(await everythingIn(after)).toEqual(await everythingIn(before))
})

test('a backup of PostgreSQL is an embedded store with all that it had, which can be moved back', {
  timeout: 60_000,
}, async () => {
  const [path, url, back] = [ownPath(), ownSchema(), ownSchema()]
  await fillStore(path, MANY)
  const control = { signal: new AbortController().signal, onLog: () => {}, clock: () => START_MS }
  await moveStore({ from: path, to: url, onProgress: () => {} }, control)
  const shared = await openStore(url, { clock: () => START_MS })
  const known = newEvent({ handlers: ['h'] })
  await shared.append(known)
  const { uid } = await shared.append(newEvent({ id: 'of \ud800' }))
  await queryIn(url, "INSERT INTO episode VALUES ('silent', 'only here', 60000)")
  const file = join(ownDirectory(), 'backup.db')
  const outcome = await make(url, file)
  if (outcome.outcome !== 'done') throw new Error(outcome.outcome)
  const episode = 'SELECT count(*) AS n FROM episode'
  const [inSource] = await queryIn<{ n: string }>(url, episode)
  expect(outcome.backup.rows.episode).toBe(Number(inSource?.n))
  const kept = await everythingIn(shared)
  await shared.close()

  const restored = join(ownDirectory(), 'holdfast.db')
  copyFileSync(file, restored)
  const embedded = await openRestored(restored)
  const found = await everythingIn(embedded)
  const others = ({ events }: typeof kept) => events.filter((event) => event?.uid !== uid)
  expect(others(found)).toEqual(others(kept))
  expect({ ...found, events: [] }).toEqual({ ...kept, events: [] })
  expect((await embedded.append(known)).outcome).toBe('duplicate')
  await embedded.close()
  expect(await moveStore({ from: file, to: back, onProgress: () => {} }, control)).toMatchObject({ outcome: 'moved' })
})
