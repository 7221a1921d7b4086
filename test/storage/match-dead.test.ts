import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { MAX_DEAD_WALKED } from '../../src/domain/dead-letters.ts'
import { openStore } from '../../src/storage/open.ts'
import { matchInPages, prepareMatchDead } from '../../src/storage/sqlite/dead-letters.ts'
import { newEvent } from '../contract/store-samples.ts'
import { ownPath } from './database-file.ts'

test('dead letters are counted in several calls of the reader, so that other reads are answered between two', async () => {
  const path = ownPath()
  const store = await openStore(`file:${path}`)
  const handlers = Array.from({ length: 500 }, (_, at) => `h${at}`)
  for (let at = 0; at < 5; at++) await store.append(newEvent({ handlers }))
  await store.close()
  const db = new DatabaseSync(path)
  onTestFinished(() => db.close())
  db.exec("UPDATE delivery SET state = 'dead'")
  const walk = prepareMatchDead(db)
  const walked: number[] = []
  const call = async (name: 'matchDeadCauses' | 'matchDeadPage', asked: never) => {
    if (name === 'matchDeadCauses') return walk.matchDeadCauses(asked)
    const page = walk.matchDeadPage(asked)
    walked.push(page.walked)
    return page
  }
  const { count, more, sample } = await matchInPages({ call } as never, {}, 3)
  expect({ count, more, sample: sample.length }).toEqual({ count: 2_500, more: false, sample: 3 })
  expect(walked).toEqual([MAX_DEAD_WALKED, 500])
})
