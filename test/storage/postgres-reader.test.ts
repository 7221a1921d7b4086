import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { newTask, taskClaim } from '../contract/task-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

/** Handled in one go. */
const BATCH = 100
/** Beside what a small number of pages more or less may be. */
const ROOM_PAGES = 40

async function session(url: string, setup: string): Promise<Client> {
  const target = new URL(url)
  const schema = target.searchParams.get('schema')
  target.searchParams.delete('schema')
  const client = new Client({ connectionString: target.href, options: `-c search_path=${schema}` })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(setup)
  return client
}

/** A store whose time the test passes, and sessions that look as a replica does, beside a reader that stays. */
async function besideReader() {
  const url = ownSchema()
  let nowMs = START_MS
  const store = await openStore(url, { clock: () => nowMs })
  onTestFinished(() => store.close())
  const looker = await session(
    url,
    `SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
     SET plan_cache_mode = force_generic_plan`,
  )
  const searcher = await session(url, 'SET jit = off')
  await session(url, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM delivery')
  /** Pages that a statement touches, in all that it runs. */
  async function pagesOf(statement: string): Promise<number> {
    const { rows } = await (/claim|fold/.test(statement) ? looker : searcher).query(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`,
    )
    const { Plan: plan } = rows[0]['QUERY PLAN'][0]
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  }
  /** Of a look that comes after others: these find out how far nothing is left. */
  async function pagesLater(statement: () => string): Promise<number> {
    for (let n = 0; n < 4; n++) {
      nowMs += 20_000
      await pagesOf(statement())
    }
    return pagesOf(statement())
  }
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { url, store, pagesLater, pass, now: () => nowMs }
}

async function handle(store: OpenStore, receivedAtMs: number): Promise<void> {
  await Promise.all(Array.from({ length: BATCH }, () => store.append(newEvent({ receivedAtMs }))))
  const { work } = await store.claim(claimRequest({ leaseMs: 1_000 }))
  expect(work).toHaveLength(BATCH)
  await store.settle(work.map((each) => settlement(each, { startedAtMs: receivedAtMs })))
}

test('a claim and the counts read no more rows beside a long reader, however much was handled since it began', async () => {
  const { url, store, pagesLater, pass, now } = await besideReader()
  const claim = () =>
    `SELECT * FROM claim_4(${now()}, '[{"name":"a","limit":10}]', 10, 10, 'l', 1000, 5, 'lost', 'none', 'corrupt', NULL, false, NULL)`
  const statements = {
    claim,
    oldest: () => `SELECT oldest_due_2(${now()})`,
    fold: () => `SELECT fold_tally_1(${now()})`,
    counts: () => 'SELECT * FROM counts_1()',
  }
  const pages = async () => {
    const found: Record<string, number> = {}
    for (const [name, statement] of Object.entries(statements)) found[name] = await pagesLater(statement)
    return found
  }
  await handle(store, now())
  const before = await pages()
  for (let n = 0; n < 12; n++) {
    await handle(store, now())
    pass(10)
  }
  // What so many transactions have counted.
  await queryIn(url, "INSERT INTO tally SELECT 'pending', 0 FROM generate_series(1, 20000)")
  const after = await pages()
  for (const name of Object.keys(statements))
    expect(after[name], `${name}: ${JSON.stringify({ before, after })}`).toBeLessThan((before[name] ?? 0) + ROOM_PAGES)
})

test('a claim of stale tasks reads no more rows beside a long reader, however often tasks were polled since it began', async () => {
  const { store, pagesLater, pass, now } = await besideReader()
  const ask = async (): Promise<void> => {
    const tasks = await store.claimTasks(taskClaim({ staleLimit: BATCH, expiredLimit: 0, leaseMs: 1_000 }))
    expect(tasks).toHaveLength(BATCH)
    await store.postpone(
      tasks.map(({ uid, lease }) => ({ uid, lease, dueAtMs: now() + 100, outcome: { providerStatus: 'going on' } })),
    )
    pass(100)
  }
  const look = () => `SELECT * FROM claim_tasks_3(${now()}, 'stripe', 10, 0, 'l', 1000, 0)`
  for (let n = 0; n < BATCH; n++) await store.track(newTask({ maxWaitMs: 0, deadlineMs: 3_600_000 }))
  await ask()
  const before = await pagesLater(look)
  for (let n = 0; n < 12; n++) await ask()
  expect(await pagesLater(look)).toBeLessThan(before + ROOM_PAGES)
})
