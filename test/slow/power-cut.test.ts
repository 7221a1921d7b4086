import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import { allPages, claimRequest } from '../contract/store-samples.ts'
import { openAt, withDatabase } from '../storage/database-file.ts'
import { temporaryDirectory } from '../support/service.ts'
import { type Call, isOf, isSync, printed, traceScript } from './trace.ts'
import { TracedFile } from './traced-disk.ts'

const CHILD = fileURLToPath(new URL('power-cut-child.ts', import.meta.url))
const NAME = 'holdfast.db'
/** More than a page of the log. */
const TRACED_BYTES = 10_000

/** What a store did to its disk. Its log is brought into the database when it has 16 MiB. */
function traced(directory: string, rounds: number, bodyBytes: number): Promise<readonly Call[]> {
  const args = [join(directory, NAME), String(rounds), String(bodyBytes)]
  return traceScript(CHILD, args, join(directory, 'trace'), TRACED_BYTES)
}

interface Cut {
  readonly database: Buffer
  readonly log: Buffer
  /** What had been acknowledged by then. */
  readonly acknowledged: ReadonlySet<string>
}

const survivals = [() => false, () => true, () => Math.random() < 0.5]

/** Cuts the power after calls that `isCut` chooses; what was under way is lost, or not, or in part. */
function* cuts(calls: readonly Call[], isCut: (call: Call, place: number) => boolean): Generator<Cut> {
  const [database, log] = [new TracedFile(NAME), new TracedFile(`${NAME}-wal`)]
  const acknowledged = new Set<string>()
  let isOpen = false
  let made = 0
  for (const [place, call] of calls.entries()) {
    const text = printed(call)
    if (text === 'open') isOpen = true
    else if (text !== undefined) acknowledged.add(text)
    database.hear(call)
    log.hear(call)
    if (!isOpen || !isCut(call, place)) continue
    const survives = survivals[made++ % survivals.length] ?? (() => false)
    yield { database: database.afterPowerCut(survives), log: log.afterPowerCut(survives), acknowledged }
  }
}

async function expectWhole({ database, log, acknowledged }: Cut, directory: string): Promise<void> {
  mkdirSync(directory)
  const path = join(directory, NAME)
  writeFileSync(path, database)
  writeFileSync(`${path}-wal`, log)
  // It was there since before: a database without its lock is opened late.
  writeFileSync(`${path}-lock`, '')
  const store = await openAt(path, Date.now())
  const events = await allPages((page) => store.events({}, page), 200)
  const kept = new Set(events.map(({ uid }) => uid))
  expect([...acknowledged].filter((uid) => uid !== 'closed' && !kept.has(uid))).toEqual([])
  for (const uid of kept) await store.body(uid)
  // Nothing is half done: what is counted is there, and all that has not ended can be run.
  const states = (await allPages((page) => store.deliveries({}, page), 200)).map(({ state }) => state)
  const counted = Object.fromEntries(
    DELIVERY_STATES.map((state) => [state, states.filter((each) => each === state).length]),
  )
  expect(states).toHaveLength(kept.size)
  expect((await store.counts()).deliveries).toEqual(counted)
  const all = { handlers: [{ name: 'a', limit: 5_000 }], sharedLimit: 5_000, isolatedLimit: 5_000, maxAttempts: 1_000 }
  expect((await store.claim(claimRequest(all))).work).toHaveLength(counted.pending ?? 0)
  await store.close()
  expect(withDatabase(path, (db) => db.prepare('PRAGMA integrity_check').get()?.integrity_check)).toBe('ok')
}

test('a power cut at any time loses no acknowledged event, and leaves no transaction half done', {
  timeout: 600_000,
}, async () => {
  const directory = temporaryDirectory()
  const calls = await traced(directory, 12, 2_000)
  let n = 0
  for (const cut of cuts(calls, (call, place) => isSync(call) || place % 23 === 0)) {
    await expectWhole(cut, join(directory, String(++n)))
  }
  expect(n).toBeGreaterThan(50)
})

test('a power cut during a checkpoint, or when the log starts over, loses no acknowledged event', {
  timeout: 600_000,
}, async () => {
  const directory = temporaryDirectory()
  const calls = await traced(directory, 60, 60_000)
  const isCheckpointing = (call: Call): boolean => isOf(call, NAME) || (isSync(call) && isOf(call, `${NAME}-wal`))
  const checkpoints = calls.filter((call) => isOf(call, NAME)).length
  expect(checkpoints).toBeGreaterThan(1_000)
  let n = 0
  for (const cut of cuts(calls, (call, place) => isCheckpointing(call) && place % 389 === 0)) {
    await expectWhole(cut, join(directory, String(++n)))
  }
  expect(n).toBeGreaterThan(5)
})

test('no page is written to the database before the log that it comes from is fsynced', {
  timeout: 120_000,
}, async () => {
  const directory = temporaryDirectory()
  const calls = await traced(directory, 60, 60_000)
  const opened = calls.findIndex((call) => printed(call) === 'open')
  const isSynced = new Map<string, boolean>()
  let pages = 0
  for (const call of calls.slice(opened)) {
    if (isSync(call)) {
      if (isOf(call, `${NAME}-wal`)) isSynced.set(call.thread, true)
      else if (isOf(call, NAME)) isSynced.set(call.thread, false)
    } else if (call.name === 'pwrite64' && isOf(call, NAME)) {
      pages++
      expect(isSynced.get(call.thread), `page ${pages}, of thread ${call.thread}`).toBe(true)
    }
  }
  expect(pages).toBeGreaterThan(1_000)
})
