import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type Service, startService, temporaryDirectory } from '../support/service.ts'

/** A file system of its own, as small as told, gone when the test is over. Needs root, as CI has. */
function smallFileSystem(megabytes: number): string {
  const directory = join(temporaryDirectory(), 'small')
  mkdirSync(directory)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', directory])
  onTestFinished(() => {
    execFileSync('umount', ['-l', directory])
  })
  return directory
}

/** Makes every fsync fail from now on: of the process or thread that strace's options name. */
async function failFsyncs(...which: readonly string[]): Promise<void> {
  const options = ['-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO']
  const strace = spawn('strace', [...options, ...which])
  onTestFinished(() => void strace.kill('SIGKILL'))
  await new Promise<void>((attached) =>
    strace.stderr.on('data', (text: Buffer) => text.includes('attached') && attached()),
  )
}

/** The thread of a process that bears a name. */
function threadOf({ pid }: Service['child'], name: string): string {
  const tasks = `/proc/${pid}/task`
  const found = readdirSync(tasks).find((id) => readFileSync(`${tasks}/${id}/comm`, 'utf8').trim() === name)
  if (found === undefined) throw new Error(`no thread ${name}`)
  return found
}

const readiness = async (service: Service): Promise<number> => (await fetch(`${service.publicUrl}/readyz`)).status

async function postOne(service: Service, data: Record<string, unknown>) {
  const event = signedEvent('disk.probe', data)
  const startedAt = performance.now()
  const answer = await fetch(`${service.publicUrl}/v1/webhooks/ai`, {
    method: 'POST',
    body: event.body,
    headers: event.headers,
  })
  await answer.arrayBuffer()
  return {
    id: event.id,
    status: answer.status,
    retryAfter: answer.headers.get('retry-after'),
    ms: performance.now() - startedAt,
  }
}

async function fill(service: Service): Promise<{ acked: string[]; refused: Awaited<ReturnType<typeof postOne>> }> {
  const acked: string[] = []
  for (;;) {
    const answer = await postOne(service, { filler: 'x'.repeat(100_000) })
    if (answer.status !== 200) return { acked, refused: answer }
    acked.push(answer.id)
    expect(acked.length).toBeLessThan(5_000)
  }
}

async function expectStored(service: Service, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const { items } = await service.api(`/v1/events?q=${id}`)
    expect(items).toHaveLength(1)
    const body = await fetch(`${service.opsUrl}/v1/events/${items[0].uid}/body`)
    expect(body.status).toBe(200)
    expect(await body.text()).toContain(id)
  }
}

test('on a full disk the service answers 503 with Retry-After at once, is not ready, loses no acknowledged event, and serves again once there is room', async () => {
  const disk = smallFileSystem(24)
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(8 * 1024 * 1024))
  const service = await startService({ DATABASE_URL: `file:${join(disk, 'holdfast.db')}`, LOG_LEVEL: 'info' })

  const { acked, refused } = await fill(service)
  expect(acked.length).toBeGreaterThan(10)
  expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
  expect(refused.ms).toBeLessThan(1_000)
  expect(await readiness(service)).toBe(503)
  expect((await fetch(`${service.publicUrl}/livez`)).status).toBe(200)
  await expectStored(service, acked)

  unlinkSync(ballast)
  expect(
    await eventually(
      () => readiness(service),
      (status) => status === 200,
    ),
  ).toBe(200)
  const after = await postOne(service, {})
  expect(after.status).toBe(200)
  await expectStored(service, [...acked, after.id])
  expect(await service.stop()).toBe(0)
})

test('on a disk that others filled to the last byte the service answers 503 at once, and a restart finds every acknowledged event', async () => {
  const disk = smallFileSystem(24)
  const environment = { DATABASE_URL: `file:${join(disk, 'holdfast.db')}` }
  const service = await startService(environment)
  const acked: string[] = []
  for (let n = 0; n < 20; n++) acked.push((await postOne(service, { n })).id)

  const ballast = join(disk, 'ballast')
  const { bavail, bsize } = statfsSync(disk)
  writeFileSync(ballast, Buffer.alloc(bavail * bsize))
  const refused = await postOne(service, {})
  expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
  expect(refused.ms).toBeLessThan(1_000)
  expect(
    await eventually(
      () => readiness(service),
      (status) => status === 503,
    ),
  ).toBe(503)
  await service.kill()
  unlinkSync(ballast)

  const again = await startService(environment)
  await expectStored(again, acked)
  expect((await postOne(again, {})).status).toBe(200)
  expect(await again.stop()).toBe(0)
})

test('while the database file takes no writes the service answers 503 within a second and is not ready, and serves again afterwards', async () => {
  const directory = temporaryDirectory()
  const service = await startService({}, directory)
  const acked: string[] = []
  for (let n = 0; n < 20; n++) acked.push((await postOne(service, { n })).id)

  // From now on every write past the first byte of any file fails (EFBIG), as it would on a broken or read-only disk.
  const limit = (bytes: string): void => {
    execFileSync('prlimit', ['--pid', String(service.child.pid), `--fsize=${bytes}:unlimited`])
  }
  limit('1')
  const refused = await postOne(service, {})
  expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
  expect(refused.ms).toBeLessThan(1_000)
  expect(await readiness(service)).toBe(503)
  await expectStored(service, acked)

  limit('unlimited')
  expect(
    await eventually(
      () => readiness(service),
      (status) => status === 200,
    ),
  ).toBe(200)
  const after = await postOne(service, {})
  expect(after.status).toBe(200)
  await expectStored(service, [...acked, after.id])
  expect(await service.stop()).toBe(0)
  expect(readdirSync(join(directory, 'data'))).toContain('holdfast.db')
})

test('after a failed fsync the service acknowledges nothing more and ends, and the next start finds every acknowledged event', async () => {
  const directory = temporaryDirectory()
  const service = await startService({}, directory)
  const acked: string[] = []
  for (let n = 0; n < 20; n++) acked.push((await postOne(service, { n })).id)

  await failFsyncs('-f', '-p', String(service.child.pid))
  const ended = once(service.child, 'exit')
  const refused = await postOne(service, {})
  expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
  expect(await ended).toEqual([1, null])
  expect(service.logs.some(({ msg }) => msg === 'the store is lost')).toBe(true)

  const again = await startService({}, directory)
  await expectStored(again, acked)
  expect((await postOne(again, {})).status).toBe(200)
  expect(await again.stop()).toBe(0)
})

test('after a failed fsync of the database at a checkpoint the service ends, and the next start finds every acknowledged event', async () => {
  const service = await startService()
  await failFsyncs('-p', threadOf(service.child, 'holdfast-log'))
  const ended = once(service.child, 'exit')
  const acked: string[] = []
  const filler = 'x'.repeat(700_000)
  for (let n = 0; n < 100; n++) {
    const answer = await postOne(service, { filler }).catch(() => undefined)
    if (answer?.status !== 200) break
    acked.push(answer.id)
  }
  expect(await ended).toEqual([1, null])
  const again = await startService({}, service.directory)
  await expectStored(again, acked)
  expect(await again.stop()).toBe(0)
})

test('the start on a directory that cannot be written is refused with a sentence that says so', async () => {
  const disk = smallFileSystem(8)
  execFileSync('mount', ['-o', 'remount,ro', disk])
  const started = startService({ DATABASE_URL: `file:${join(disk, 'holdfast.db')}` })
  await expect(started).rejects.toThrow(/directory .* cannot be written/)
})
