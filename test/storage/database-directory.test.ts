import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { DatabaseFiles } from '../../src/storage/sqlite/database-directory.ts'
import { ownPath } from './database-file.ts'

function openFiles() {
  const path = ownPath()
  for (const file of [path, `${path}-wal`, `${path}-shm`]) writeFileSync(file, '')
  return { path, files: new DatabaseFiles(path) }
}

test.each([
  ['the database is moved', 'database', (path: string) => renameSync(path, `${path}.old`)],
  ['the log of the database is deleted', 'log', (path: string) => rmSync(`${path}-wal`)],
  [
    'the database is replaced',
    'database',
    (path: string) => {
      writeFileSync(`${path}.new`, '')
      renameSync(`${path}.new`, path)
    },
  ],
  [
    'the directory of the database is moved',
    'database',
    (path: string) => renameSync(dirname(path), `${dirname(path)}-moved`),
  ],
])('the check of the database’s files sees at its next look, however soon, that %s', async (_, kind, take) => {
  const { path, files } = openFiles()
  expect(files.faultSince()).toBeUndefined()
  take(path)
  expect(files.faultSince()).toMatchObject({ kind })
})

test('the check of the database’s files sees at each look files that are moved away and put back, again and again', () => {
  const { path, files } = openFiles()
  for (let round = 0; round < 200; round++) {
    expect(files.faultSince()).toBeUndefined()
    renameSync(path, `${path}.old`)
    expect(files.faultSince()).toMatchObject({ kind: 'database' })
    renameSync(`${path}.old`, path)
  }
})

test('the check of the database’s files reports a database that got shorter for good, and not one that grows', () => {
  const { path, files } = openFiles()
  writeFileSync(path, 'more than before')
  expect(files.fault()).toBeUndefined()
  writeFileSync(path, 'less')
  expect(files.fault()).toMatchObject({ kind: 'database', message: expect.stringContaining('was cut') })
  writeFileSync(path, 'as much as there was before')
  expect(files.fault()).toMatchObject({ kind: 'database' })
})

test('the check of the database’s files reports no fault for other files in the directory', () => {
  const { path, files } = openFiles()
  writeFileSync(`${path}.copy`, '')
  expect(files.faultSince()).toBeUndefined()
  rmSync(`${path}.copy`)
  expect(files.faultSince()).toBeUndefined()
})
