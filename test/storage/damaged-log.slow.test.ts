import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { allPages, newEvent } from '../contract/store-samples.ts'
import { appendUntilKilled } from './crashed.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

/** Flips two bytes in the middle of a killed process's log. */
function flipBytes(path: string): void {
  const file = openSync(`${path}-wal`, 'r+')
  const at = Math.floor(statSync(`${path}-wal`).size / 2)
  const bytes = Buffer.alloc(2)
  readSync(file, bytes, 0, 2, at)
  writeSync(file, Buffer.from(bytes.map((byte) => byte ^ 0xff)), 0, 2, at)
  closeSync(file)
}

async function missingOf(store: OpenStore, acknowledged: readonly string[]): Promise<number> {
  const kept = new Set((await allPages((page) => store.events({}, page), 200)).map(({ uid }) => uid))
  return acknowledged.filter((uid) => !kept.has(uid)).length
}

const told = (store: OpenStore): number =>
  Number(/(\d+) acknowledged events are missing/.exec(store.warnings().join())?.[1])

test.each([
  ['damaged', flipBytes],
  ['cut short', (path: string) => truncateSync(`${path}-wal`, Math.floor(statSync(`${path}-wal`).size / 2))],
  [
    'overwritten at its head',
    (path: string) => {
      const file = openSync(`${path}-wal`, 'r+')
      writeSync(file, Buffer.alloc(8), 0, 8, 16)
      closeSync(file)
    },
  ],
])(
  'after a crash that left the write-ahead log %s, the store opens, tells once how many events are missing, and keeps a copy of the log',
  async (_, damage) => {
    const path = ownPath()
    const acknowledged = await appendUntilKilled(path)
    damage(path)
    const store = await openAt(path)
    const missing = await missingOf(store, acknowledged)
    expect(missing).toBeGreaterThan(0)
    // What was committed and not yet told to its sender is counted too: at most one for each of the appends that overlap.
    expect(told(store)).toBeGreaterThanOrEqual(missing)
    expect(told(store)).toBeLessThanOrEqual(missing + 16)
    expect(store.faults()).toEqual([])
    expect(readdirSync(dirname(path)).filter((file) => file.includes('-wal.damaged-'))).toHaveLength(1)
    await store.close()
    expect((await openAt(path)).warnings()).toEqual([])
  },
)

test('the store notices after a crash that its write-ahead log was deleted', async () => {
  const path = ownPath()
  const acknowledged = await appendUntilKilled(path)
  rmSync(`${path}-wal`)
  rmSync(`${path}-shm`, { force: true })
  const store = await openAt(path)
  const missing = await missingOf(store, acknowledged)
  expect(told(store)).toBeGreaterThanOrEqual(missing)
})

test('the store has no warnings after a crash or a stop without damage', async () => {
  const path = ownPath()
  await appendUntilKilled(path)
  const store = await openAt(path)
  expect(store.warnings()).toEqual([])
  await store.close()
  expect((await openAt(path)).warnings()).toEqual([])
})

test('the store takes a write-ahead log that another program emptied into the database before the crash as undamaged', async () => {
  const path = ownPath()
  await appendUntilKilled(path)
  copyFileSync(`${path}-synced`, `${path}-kept`)
  withDatabase(path, (db) => db.exec('PRAGMA wal_checkpoint(TRUNCATE)'))
  copyFileSync(`${path}-kept`, `${path}-synced`)
  writeFileSync(`${path}-wal`, '')
  await expectNothingToTell(path)
})

test('the store opens after a crash with a write-ahead log that is larger than one buffer can be', async () => {
  const path = ownPath()
  await appendUntilKilled(path)
  truncateSync(`${path}-wal`, 2 ** 31 + 1)
  await expectNothingToTell(path)
})

/** What is told at the start comes a moment after it. */
async function expectNothingToTell(path: string): Promise<void> {
  const store = await openAt(path)
  await store.events({}, { limit: 1 })
  await store.append(newEvent())
  expect(store.warnings()).toEqual([])
  expect(readdirSync(dirname(path)).filter((file) => file.includes('-wal.damaged-'))).toEqual([])
}
