import { expect, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import type { Position } from '../../src/storage/shared/list-pages.ts'
import { prepareScanEvents } from '../../src/storage/sqlite/scan-events.ts'
import { ownPath, withDatabase } from './database-file.ts'

test('a scan by the index ends with its time also if no event of a batch matches the other filters, and says where to go on', async () => {
  const path = ownPath()
  await (await openStore(`file:${path}`)).close()
  const nothing = (_: unknown, { key }: Position) => ({
    rows: [],
    end: key > 1 ? { atMs: 0, key: key - 1 } : undefined,
  })
  const scan = (scanMs: number) =>
    withDatabase(path, (db) =>
      prepareScanEvents(db).byArrival({ contains: 'x' }, { atMs: 0, key: 100 }, 10, nothing, scanMs),
    )
  expect(scan(0)).toEqual({ rows: [], end: { atMs: 0, key: 99 } })
  expect(scan(60_000)).toEqual({ rows: [], end: undefined })
})
