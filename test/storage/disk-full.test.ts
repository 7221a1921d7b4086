import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { claimRequest, codeOf, newEvent, settlement } from '../contract/store-samples.ts'
import { openAt, ownDirectory } from './database-file.ts'

const DISK_MIB = 8

/** A small file system of the test's own. Needs the right to mount one, as CI and containers with CAP_SYS_ADMIN have it. */
function smallDisk(): string | undefined {
  const directory = `${ownDirectory()}/disk`
  mkdirSync(directory)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', directory], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  onTestFinished(() => void execFileSync('umount', ['--lazy', directory]))
  return directory
}

/** Takes up what is left of the disk, or all but that. */
function fill(directory: string, leaveBytes = 0): string {
  const ballast = `${directory}/ballast`
  const { bavail, bsize } = statfsSync(directory)
  try {
    writeFileSync(ballast, Buffer.alloc(bavail * bsize - leaveBytes + (leaveBytes === 0 ? bsize : 0)))
  } catch {
    // Full is what it is to be.
  }
  return ballast
}

const NEEDS_MOUNT = 'mounting a tmpfs needs root on Linux'

test('on a disk that others fill up, the embedded store refuses events as unavailable, keeps those it acknowledged, and goes on once there is room', async (context) => {
  const disk = smallDisk() ?? context.skip(NEEDS_MOUNT)
  const store = await openAt(`${disk}/holdfast.db`)
  const kept = newEvent()
  await store.append(kept)
  const ballast = fill(disk)

  await expect.poll(() => codeOf(store.append(newEvent())), { timeout: 5_000, interval: 10 }).toBe('unavailable')
  await expect.poll(() => store.faults(), { timeout: 5_000 }).not.toEqual([])
  expect((await store.body(kept.uid)).length).toBe(kept.body.length)

  rmSync(ballast)
  // Without traffic: readiness has to return by itself.
  await expect.poll(() => store.faults(), { timeout: 5_000 }).toEqual([])
  const later = newEvent()
  await store.append(later)
  await store.close()
  const again = await openAt(`${disk}/holdfast.db`)
  const { items } = await again.events({}, { limit: 200 })
  expect(items.map(({ uid }) => uid)).toEqual(expect.arrayContaining([kept.uid, later.uid]))
})

test('on a disk that its own events fill up, the embedded store keeps what it acknowledged, and deliveries go on in its reserve', async (context) => {
  const disk = smallDisk() ?? context.skip(NEEDS_MOUNT)
  const store = await openAt(`${disk}/holdfast.db`)
  const acknowledged: string[] = []
  const refusals = new Set<unknown>()
  const one = async () => {
    while (refusals.size === 0) {
      const event = newEvent({ body: Buffer.alloc(20_000, String(acknowledged.length)) })
      const code = await codeOf(store.append(event))
      if (code === 'it resolved') acknowledged.push(event.uid)
      else refusals.add(code)
    }
  }
  await Promise.all(Array.from({ length: 8 }, one))
  expect(refusals).toEqual(new Set(['unavailable']))
  expect(acknowledged.length).toBeGreaterThan(50)

  const { work } = await store.claim(claimRequest({ sharedLimit: 10 }))
  expect(await store.settle(work.map((each) => settlement(each)))).toEqual(Array(10).fill(true))
  for (const uid of acknowledged) expect((await store.body(uid)).length).toBe(20_000)
  const { bavail, bsize } = statfsSync(disk)
  expect(bavail * bsize).toBeGreaterThan(0)
})

test('the embedded store opens on a disk with room for its reserve only, so that deliveries can go on', async (context) => {
  const disk = smallDisk() ?? context.skip(NEEDS_MOUNT)
  const first = await openAt(`${disk}/holdfast.db`)
  await first.append(newEvent())
  await first.close()
  fill(disk, 400_000)
  const store = await openAt(`${disk}/holdfast.db`)
  await expect.poll(() => store.faults(), { timeout: 1_000 }).toEqual([expect.stringContaining('disk is full')])
  expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
  expect((await store.claim(claimRequest())).work).toHaveLength(1)
})

test('the embedded store refuses to open on a read-only file system', async (context) => {
  const disk = smallDisk() ?? context.skip(NEEDS_MOUNT)
  await (await openAt(`${disk}/holdfast.db`)).close()
  execFileSync('mount', ['-o', 'remount,ro', disk])
  await expect(openAt(`${disk}/holdfast.db`)).rejects.toMatchObject({
    name: 'ConfigurationError',
    faults: [expect.stringContaining('cannot be written')],
  })
})
