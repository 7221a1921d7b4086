import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { claimRequest, codeOf, newEvent, settlement } from '../contract/store-samples.ts'
import { openAt, ownDirectory, ownPath } from './database-file.ts'

/** With all its threads at work. */
async function openUsed(path: string): Promise<OpenStore> {
  const store = await openAt(path)
  await store.counts()
  return store
}

const WITHIN_A_SECOND = { timeout: 1_500, interval: 20 }

test.each([
  ['deleted', (path: string) => rmSync(path)],
  ['renamed', (path: string) => renameSync(path, `${path}.old`)],
  [
    'replaced',
    (path: string) => {
      writeFileSync(`${path}.new`, '')
      renameSync(`${path}.new`, path)
    },
  ],
  ['moved with its directory', (path: string) => renameSync(dirname(path), `${dirname(path)}-moved`)],
])(
  'an embedded store whose database was %s takes no more events at once, reports it without traffic, and handles what it holds',
  async (_, take) => {
    const path = join(ownDirectory(), 'data', 'holdfast.db')
    const store = await openUsed(path)
    await store.append(newEvent())
    take(path)
    await expect.poll(() => store.faults(), WITHIN_A_SECOND).toEqual([expect.stringContaining(path)])
    expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
    const { work } = await store.claim(claimRequest())
    expect(await store.settle(work.map((each) => settlement(each)))).toEqual([true])
  },
)

test('the embedded store acknowledges no event after its database was deleted', async () => {
  const path = ownPath()
  const store = await openUsed(path)
  await store.append(newEvent())
  rmSync(path)
  expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
})

test('the embedded store takes events again once its database is put back, and no event is missing', async () => {
  const path = ownPath()
  const store = await openUsed(path)
  const before = newEvent()
  await store.append(before)
  renameSync(path, `${path}.old`)
  await expect.poll(() => store.faults(), WITHIN_A_SECOND).not.toEqual([])
  renameSync(`${path}.old`, path)
  await expect.poll(() => store.faults(), WITHIN_A_SECOND).toEqual([])
  const after = newEvent()
  await store.append(after)
  await store.close()
  const again = await openAt(path)
  for (const { uid } of [before, after]) expect(await again.event(uid)).toBeDefined()
})

test('when its log alone is deleted, the embedded store saves all that is in the log, and has to be opened again', async () => {
  const path = ownPath()
  const store = await openUsed(path)
  const event = newEvent()
  await store.append(event)
  rmSync(`${path}-wal`)
  expect((await store.lost).message).toContain('-wal was deleted')
  const again = await openAt(`${path}`).catch((error: unknown) => error)
  expect(again).toMatchObject({ name: 'ConfigurationError' })
  await store.close()
  expect(await (await openAt(path)).event(event.uid)).toBeDefined()
})

/** With what was appended brought into the database, so that it is no more in the log. */
async function openFilled(path: string): Promise<OpenStore> {
  const before = await openAt(path)
  await before.append(newEvent())
  await before.close()
  return openUsed(path)
}

test.each([
  ['cut to nothing', (path: string) => truncateSync(path)],
  ['cut in part', (path: string) => truncateSync(path, 8_192)],
  ['overwritten with a shorter one', (path: string) => writeFileSync(path, 'SQLite format 3')],
])(
  'an embedded store whose database was %s in place takes no more events, though the file grows again',
  async (_, take) => {
    const path = ownPath()
    const store = await openFilled(path)
    take(path)
    await expect.poll(() => store.faults(), WITHIN_A_SECOND).toEqual([expect.stringContaining('restore a backup')])
    truncateSync(path, 10_000_000)
    expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
  },
)

test.each([
  ['to nothing', 0],
  ['in part', 20_000],
])('an embedded store whose log was cut %s in place ends, and acknowledges no event afterwards', async (_, bytes) => {
  const path = ownPath()
  const store = await openFilled(path)
  const kept = newEvent()
  const cut = newEvent()
  await store.append(kept)
  const size = statSync(`${path}-wal`).size
  await store.append(cut)
  truncateSync(`${path}-wal`, Math.min(bytes, size))
  expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
  expect((await store.lost).message).toContain('-wal was cut')
  await store.close()
  const again = await openAt(path)
  await expect.poll(() => again.warnings()).toEqual([expect.stringContaining('2 acknowledged events are missing')])
})

test('the embedded store notices without traffic that its log was cut', async () => {
  const path = ownPath()
  const store = await openUsed(path)
  await store.append(newEvent())
  truncateSync(`${path}-wal`)
  expect((await store.lost).message).toContain('-wal was cut')
})

const refused = (path: string, why: string) =>
  expect(openAt(path)).rejects.toMatchObject({ name: 'ConfigurationError', faults: [expect.stringContaining(why)] })

test('a second opener is refused under every name of the database: a symbolic link, a linked directory, a hard link', async () => {
  const path = join(ownDirectory(), 'data', 'holdfast.db')
  const store = await openAt(path)
  await store.append(newEvent())
  const elsewhere = ownDirectory()
  symlinkSync(path, join(elsewhere, 'link.db'))
  symlinkSync(dirname(path), join(elsewhere, 'linked'))
  await refused(join(elsewhere, 'link.db'), 'in use by another process')
  await refused(join(elsewhere, 'linked', 'holdfast.db'), 'in use by another process')
  linkSync(path, join(elsewhere, 'hard.db'))
  await refused(join(elsewhere, 'hard.db'), 'hard links')
})

test('a store opened by a symbolic link keeps its log and its lock beside the database', async () => {
  const path = ownPath()
  const link = join(ownDirectory(), 'link.db')
  symlinkSync(path, link)
  await openAt(link)
  expect([`${path}-wal`, `${path}-lock`].map((file) => existsSync(file))).toEqual([true, true])
  expect(existsSync(`${link}-lock`)).toBe(false)
})

test('a second opener is refused though the lock file was removed', async () => {
  const path = ownPath()
  const store = await openAt(path)
  await store.append(newEvent())
  rmSync(`${path}-lock`)
  await refused(path, 'in use by another process')
  await store.append(newEvent())
  expect(store.faults()).toEqual([])
})

test('a database file that is mounted apart from its directory is refused', async (context) => {
  const path = ownPath()
  const mounted = join(ownDirectory(), 'mounted here', 'holdfast.db')
  await (await openAt(path)).close()
  mkdirSync(dirname(mounted))
  writeFileSync(mounted, '')
  try {
    execFileSync('mount', ['--bind', path, mounted], { stdio: 'ignore' })
  } catch {
    context.skip('mounting needs root on Linux')
  }
  onTestFinished(() => void execFileSync('umount', ['--lazy', mounted]))
  await refused(mounted, 'mount its directory')
})
