import { randomBytes } from 'node:crypto'
import { cpus, tmpdir } from 'node:os'
import { Logger, run } from 'graphile-worker'
import { Client } from 'pg'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

/**
 * A backlog is worked off with handlers that do nothing, alone and beside one transaction that was open before: does the speed
 * fall with what was handled since? Holdfast's store as its dispatcher uses it, and graphile-worker, each against itself.
 * `BENCH_EVENTS` and `BENCH_SECONDS` make it longer or shorter; events that are not handled in time are left.
 */
const EVENTS = Number(process.env.BENCH_EVENTS ?? 20_000)
const MOST_SECONDS = Number(process.env.BENCH_SECONDS ?? 15)
const PARTS = 8
/** Deliveries in one claim, and claims under way at once. */
const CLAIMED = 64
const CLAIMERS = 2
const APPENDERS = 256
/** Jobs that are added at once. */
const ADDED = 1_000
const BODY = Buffer.alloc(1_024, 'x')
const HANDLER = 'noop'

/** Counts what is handled; `done` resolves when all is, or when the time is over. */
class Progress {
  readonly done: Promise<void>
  readonly #startedAt = performance.now()
  /** Seconds after the start at which each part was done. */
  readonly #marks: number[] = []
  #count = 0
  #finish: () => void = () => {}

  constructor() {
    this.done = new Promise((resolve) => {
      const timer = setTimeout(resolve, MOST_SECONDS * 1_000)
      this.#finish = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  add(count: number): void {
    this.#count += count
    while (this.#marks.length < PARTS && this.#count >= ((this.#marks.length + 1) * EVENTS) / PARTS)
      this.#marks.push(this.#seconds())
    if (this.#count >= EVENTS) this.#finish()
  }

  isOver = (): boolean => this.#count >= EVENTS || this.#seconds() >= MOST_SECONDS

  measured(): Measured {
    const seconds = this.#marks.at(-1) ?? this.#seconds()
    const handled = Math.min(this.#count, (this.#marks.length * EVENTS) / PARTS || this.#count)
    const parts = this.#marks.map((mark, at) => EVENTS / PARTS / (mark - (this.#marks[at - 1] ?? 0)))
    return { handled, perSecond: handled / seconds, last: parts.at(-1) ?? handled / seconds }
  }

  #seconds = (): number => (performance.now() - this.#startedAt) / 1_000
}

interface Measured {
  readonly handled: number
  readonly perSecond: number
  /** In the last part of it. */
  readonly last: number
}

interface Subject {
  readonly name: string
  /** Makes the backlog in a schema of its own; gives what works it off. */
  fill(url: URL, schema: string): Promise<(progress: Progress) => Promise<void>>
}

const event = (): NewEvent => ({
  uid: newUid(),
  source: 'ai',
  provider: 'ai',
  id: randomBytes(12).toString('base64url'),
  type: 'completion.finished',
  createdAt: '2026-11-23T10:00:00.000Z',
  createdAtSource: 'provider',
  receivedAtMs: Date.now(),
  origin: 'webhook',
  status: 'accepted',
  reasons: [],
  headers: { 'content-type': 'application/json' },
  body: BODY,
  handlers: [HANDLER],
})

const holdfast: Subject = {
  name: 'Holdfast',
  async fill(url, schema) {
    url.searchParams.set('schema', schema)
    const store = await openStore(url.href)
    let left = EVENTS
    const append = async (): Promise<void> => {
      while (left-- > 0) await store.append(event())
    }
    await Promise.all(Array.from({ length: APPENDERS }, append))
    return async (progress) => {
      await Promise.all(Array.from({ length: CLAIMERS }, () => handle(store, progress)))
      await store.close()
    }
  },
}

async function handle(store: OpenStore, progress: Progress): Promise<void> {
  const request = {
    handlers: [{ name: HANDLER, limit: CLAIMED }],
    sharedLimit: CLAIMED,
    isolatedLimit: 1,
    leaseMs: 150_000,
    maxAttempts: 12,
  }
  while (!progress.isOver()) {
    const { work } = await store.claim(request)
    const now = Date.now()
    const settled = await store.settle(
      work.map(({ deliveryId, lease }) => ({
        deliveryId,
        lease,
        verdict: 'succeeded',
        outcome: 'succeeded',
        isolate: false,
        dueAtMs: now,
        startedAtMs: now,
        durationMs: 0,
      })),
    )
    progress.add(settled.filter(Boolean).length)
  }
}

/** `localQueueSize`: jobs that it takes at once; 0: one by one, as it does unless told otherwise. */
const graphileWorker = (name: string, localQueueSize: number): Subject => ({
  name,
  async fill(url, schema) {
    const connectionString = url.href
    const start = (onJob: () => void) =>
      run({
        connectionString,
        schema,
        concurrency: 16,
        pollInterval: 100,
        noHandleSignals: true,
        logger: new Logger(() => () => {}),
        taskList: { [HANDLER]: onJob },
        maxPoolSize: 17,
        preset: {
          worker: localQueueSize > 0 ? { localQueue: { size: localQueueSize }, completeJobBatchDelay: 0 } : {},
        },
      })
    // Makes its tables.
    await (await start(() => {})).stop()
    const client = new Client({ connectionString })
    await client.connect()
    const spec = `json_populate_record(NULL::${schema}.job_spec, json_build_object('identifier', $1::text, 'payload', json_build_object('n', n, 'body', $2::text)))`
    const add = `SELECT count(*) FROM ${schema}.add_jobs(ARRAY(SELECT ${spec} FROM generate_series(1, ${ADDED}) AS n))`
    for (let n = 0; n < EVENTS; n += ADDED) await client.query(add, [HANDLER, BODY.toString()])
    await client.end()
    return async (progress) => {
      const runner = await start(() => progress.add(1))
      await progress.done
      await runner.stop()
    }
  },
})

const SUBJECTS = [holdfast, graphileWorker('graphile-worker', 0), graphileWorker('graphile-worker, local queue', 500)]

async function measure(postgres: PostgresServer, subject: Subject, schema: string, isRead: boolean): Promise<Measured> {
  const workOff = await subject.fill(new URL(postgres.url), schema)
  const reader = new Client({ connectionString: postgres.url })
  await reader.connect()
  // A snapshot that is kept open, as by a dump or by a forgotten session.
  if (isRead) await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1')
  const progress = new Progress()
  await workOff(progress)
  await reader.end()
  return progress.measured()
}

const whole = (value: number): string => Math.round(value).toLocaleString('en')

function report(rows: readonly { name: string; alone: Measured; beside: Measured }[]): void {
  const [cpu] = cpus()
  console.log(
    `\n${cpus().length} cores, ${cpu?.model}; PostgreSQL 18 on the same machine; a backlog of ${whole(EVENTS)}, ${MOST_SECONDS} s at most\n`,
  )
  console.log(
    '| | alone, handled/s | beside a reader, handled/s | of that alone | the last eighth beside it, handled/s | handled beside it |\n|---|--:|--:|--:|--:|--:|',
  )
  for (const { name, alone, beside } of rows)
    console.log(
      `| ${name} | ${whole(alone.perSecond)} | ${whole(beside.perSecond)} | ${(beside.perSecond / alone.perSecond).toFixed(2)} | ${whole(beside.last)} | ${whole(beside.handled)} |`,
    )
}

const postgres = await startPostgres({ directory: tmpdir(), settings: { max_wal_size: '4GB' } })
try {
  const rows = []
  for (const [at, subject] of SUBJECTS.entries()) {
    const alone = await measure(postgres, subject, `alone_${at}`, false)
    const beside = await measure(postgres, subject, `beside_${at}`, true)
    rows.push({ name: subject.name, alone, beside })
  }
  report(rows)
} finally {
  await postgres.remove()
}
