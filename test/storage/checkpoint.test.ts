import { existsSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { newEvent } from '../contract/store-samples.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

const MIB = 1024 * 1024

test('the write-ahead log of the embedded store stays small while events keep coming, and is in the database at the end', async () => {
  const path = ownPath()
  const log = `${path}-wal`
  const store = await openAt(path)
  const events = 400
  let left = events
  let largestBytes = 0
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      await store.append(newEvent({ body: Buffer.alloc(MIB / 4) }))
      largestBytes = Math.max(largestBytes, statSync(log).size)
    }
  }
  await Promise.all(Array.from({ length: 16 }, one))
  // Of the 100 MiB that went through it.
  expect(largestBytes).toBeGreaterThan(8 * MIB)
  expect(largestBytes).toBeLessThan(80 * MIB)
  await store.close()
  expect(existsSync(log) ? statSync(log).size : 0).toBe(0)
  expect(withDatabase(path, (db) => db.prepare('SELECT count(*) AS n FROM event_body').get()?.n)).toBe(events)
})
