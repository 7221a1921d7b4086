import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { MOVED_TABLES, type MovedTable } from '../../src/domain/store-move.ts'
import { newEvent } from '../contract/store-samples.ts'
import { newTask } from '../contract/task-samples.ts'
import { openAt, ownPath } from '../storage/database-file.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { mainFile, temporaryDirectory } from '../support/service.ts'

const EVENTS = 3_000

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>
}

/** `holdfast migrate` as a process of its own. */
function migrate(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, [mainFile, 'migrate', ...args], {
    cwd: temporaryDirectory(),
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err]: Buffer[][] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => out?.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err?.push(chunk))
  const text = (chunks: Buffer[] = []): string => Buffer.concat(chunks).toString()
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, out: text(out), err: text(err) }))
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
  })
  return { child, ended }
}

async function filledStore(events = 20): Promise<string> {
  const path = ownPath()
  const store = await openAt(path)
  await Promise.all(Array.from({ length: events }, () => store.append(newEvent())))
  await store.track(newTask())
  await store.close()
  return path
}

/** Resolves when some of the events, and not all, are in the target. */
const isUnderWay = (url: string) =>
  eventually(
    () => queryIn<{ n: string }>(url, 'SELECT count(*) AS n FROM event').catch(() => [{ n: '0' }]),
    ([row]) => Number(row?.n) > 0,
    15_000,
  )

test('migrate moves a store and prints a summary', async () => {
  const [path, url] = [await filledStore(), ownSchema()]
  const { code, out, err } = await migrate(['--from', `file:${path}`, '--to', url]).ended
  expect(err).not.toMatch(/error|differs/i)
  expect(code).toBe(0)
  const [head, ...rows] = out.trimEnd().split('\n')
  expect(head).toMatch(/^TABLE +ROWS +CHECKSUM \(SHA-256\) +EQUAL$/)
  const moved: Partial<Record<MovedTable, string>> = { event: '20', event_body: '20', delivery: '20', task: '1' }
  expect(rows.map((row) => row.replace(/[0-9a-f]{64}/, '…').split(/ +/))).toEqual(
    MOVED_TABLES.map((table) => [table, moved[table] ?? '0', '…', 'yes']),
  )
})

test('migrate records itself in the audit of the target, with the name of the user who ran it', async () => {
  const [path, url] = [await filledStore(), ownSchema()]
  expect((await migrate(['--from', `file:${path}`, '--to', url]).ended).code).toBe(0)
  expect(await queryIn(url, 'SELECT action, actor, claimed_name, target, n::integer, outcome FROM audit')).toEqual([
    {
      action: 'store.migrate',
      actor: 'command',
      claimed_name: userInfo().username,
      target: path,
      n: 20,
      outcome: 'done',
    },
  ])
})

test('migrate takes its target from DATABASE_URL, and prints its summary as JSON with --json', async () => {
  const [path, url] = [await filledStore(), ownSchema()]
  const { code, out } = await migrate(['--from', `file:${path}`, '--json'], { DATABASE_URL: url }).ended
  expect(code).toBe(0)
  const summary = JSON.parse(out)
  expect(summary).toMatchObject({ equal: true, resumed: false, difference: null })
  expect(summary.tables[0]).toEqual({
    table: 'event',
    rows: 20,
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
    equal: true,
  })
})

test('migrate names the table that differs and exits with 1', async () => {
  const [path, url] = [await filledStore(EVENTS), ownSchema()]
  const { child, ended } = migrate(['--from', `file:${path}`, '--to', url])
  await isUnderWay(url)
  child.kill('SIGKILL')
  await ended
  await queryIn(url, "UPDATE event SET type = 'other' WHERE key = 7")
  const { code, out, err } = await migrate(['--from', `file:${path}`, '--to', url]).ended
  expect(code).toBe(1)
  expect(out).toMatch(/^event +3000 +[0-9a-f]{64} +no$/m)
  expect(err).toContain('event differs, first at key 7.')
})

test.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  'migrate that was ended by %s goes on when it is run again',
  { timeout: 60_000 },
  async (signal) => {
    const [path, url] = [await filledStore(EVENTS), ownSchema()]
    const { child, ended } = migrate(['--from', `file:${path}`, '--to', url])
    await isUnderWay(url)
    child.kill(signal)
    const stopped = await ended
    if (signal !== 'SIGKILL') {
      expect(stopped.code).toBe(1)
      expect(stopped.err).toMatch(/stopped while \w+ \w+: \d+ of \d+ rows\. Run the same command again/)
    }
    expect(await queryIn(url, 'SELECT FROM move')).toHaveLength(1)

    const again = await migrate(['--from', `file:${path}`, '--to', url, '--json']).ended
    expect(again.code).toBe(0)
    expect(again.err).toMatch(/^goes on \w+ \w+ after \d+ of \d+ rows$/m)
    expect(JSON.parse(again.out)).toMatchObject({ equal: true, resumed: true })
    expect(await queryIn(url, 'SELECT count(*)::integer AS n FROM event')).toEqual([{ n: EVENTS }])
  },
)

test('migrate names a target that cannot be reached in one line, without its password', async () => {
  const path = await filledStore()
  const { code, out, err } = await migrate(['--from', `file:${path}`, '--to', 'postgres://a:s3cret@no.invalid/b']).ended
  expect(code).toBe(1)
  expect(out).toBe('')
  expect(err).toMatch(/^holdfast migrate: --to: PostgreSQL cannot be reached: .*\n$/)
  expect(err).not.toContain('s3cret')
})

test('migrate names a source that is in use or does not exist in one line', async () => {
  const path = ownPath()
  await openAt(path)
  const used = await migrate(['--from', `file:${path}`, '--to', ownSchema()]).ended
  expect(used).toMatchObject({ code: 1, err: expect.stringMatching(/is in use by another process: stop .*\n$/) })
  const missing = join(temporaryDirectory(), 'none.db')
  const none = await migrate(['--from', `file:${missing}`, '--to', ownSchema()]).ended
  expect(none).toMatchObject({ code: 1, err: `holdfast migrate: There is no database ${missing}.\n` })
})

test('migrate does not print a URL that was given in the wrong place', async () => {
  const { code, err } = await migrate(['--from', 'file:a', 'postgres://a:s3cret@b/c']).ended
  expect(code).toBe(2)
  expect(err).toContain('unexpected a URL')
  expect(err).not.toContain('s3cret')
})
