import { describe, expect, test } from 'vitest'
import type { Attempt } from '../../src/domain/delivery.ts'
import type { EventDetail } from '../../src/domain/event-store.ts'
import type { Pause } from '../../src/domain/pause.ts'
import type { Task } from '../../src/domain/task.ts'
import type { TaskService } from '../../src/domain/task-service.ts'
import { type Delivery, followSeconds, type Story, storyReader } from '../../src/http/console/pages/event-story.ts'
import { timeline } from '../../src/http/console/pages/event-timeline.ts'
import { verdict } from '../../src/http/console/pages/event-verdict.ts'
import { madeOf } from '../../src/http/console/pages/task-timeline.ts'

const NOW_MS = Date.parse('2026-11-26T03:12:41Z')
const UID = '01a21e73-f82c-721e-bd96-b0f62aead455'

const delivery = (given: Partial<Delivery> = {}): Delivery => ({
  eventUid: UID,
  source: 'shop',
  type: 'invoice.paid',
  handler: 'billing',
  state: 'pending',
  attempts: 0,
  dueAtMs: NOW_MS,
  history: [],
  ...given,
})

const attempt = (number: number, given: Partial<Attempt> = {}): Attempt => ({
  number,
  outcome: 'failed',
  error: `no connection ${number}`,
  cause: 'c1',
  startedAtMs: NOW_MS - 1_000_000 + number * 60_000,
  durationMs: number,
  ...given,
})

const event = (deliveries: readonly Delivery[]): EventDetail => ({
  uid: UID,
  source: 'shop',
  provider: 'shop',
  id: 'evt_1',
  type: 'invoice.paid',
  createdAt: '2026-11-26T03:00:00Z',
  receivedAtMs: NOW_MS - 1_000_000,
  origin: 'webhook',
  status: 'accepted',
  reasons: [],
  sizeBytes: 2,
  headers: {},
  checksum: '00',
  deliveries,
})

const pauseOf = (kind: Pause['kind'], name: string): Pause => ({ kind, name, sinceMs: NOW_MS, by: 'ana' })

/** Ports of a service whose one handler is `billing`, with these pauses. */
const read = (
  deliveries: readonly Delivery[],
  pauses: readonly Pause[] = [],
  given: Partial<EventDetail> = {},
  tasks: Partial<TaskService> = {},
): Promise<Story> =>
  storyReader({
    tasks,
    clock: () => NOW_MS,
    handlers: () => [{ name: 'billing', types: ['*'] }],
    isRunning: () => true,
    pauses: { find: (kind: string, name: string) => pauses.find((each) => each.kind === kind && each.name === name) },
    deadCauses: async ({ handler }: { handler: string }) => ({ causes: [{ handler, source: 'shop', count: 396 }] }),
  } as unknown as Parameters<typeof storyReader>[0])({ ...event(deliveries), ...given })

describe('a story', () => {
  test.each([
    ['is paused with its handler', delivery(), [pauseOf('handler', 'billing')], 'it is paused by'],
    ['is paused with its source', delivery(), [pauseOf('source', 'shop')], 'its source is paused by'],
    ['has no handler any more', delivery({ handler: 'gone' }), [], 'no running process has this handler'],
    ['waits for its turn', delivery({ waitsForTurn: true }), [], 'waits for an earlier event'],
    ['failed', delivery({ attempts: 2, dueAtMs: NOW_MS + 60_000 }), [], 'failed 2 times and tries again in 1 min'],
    ['never ran', delivery(), [], 'waits for its turn: it runs as soon as there is capacity'],
  ])('says why a delivery does not run that %s', async (_which, waiting, pauses, words) => {
    expect(verdict(await read([waiting], pauses)).toString()).toContain(words)
  })

  test('leads to the dead letters that died in the same way', async () => {
    const story = await read([delivery({ state: 'dead', cause: 'c1', history: [attempt(1)] })])
    const [, url = '', words] = /<a href="([^"]*)">([^<]*)<\/a>/.exec(verdict(story).toString()) ?? []
    expect(words).toBe('395 others died the same way')
    expect(
      new URL(
        url.replaceAll('&#x2F;', '/').replaceAll('&#x3D;', '=').replaceAll('&amp;', '&'),
        'http://localhost',
      ).searchParams.get('cause'),
    ).toBe('c1')
  })

  test('is followed the closer, the sooner it goes on, and not after its end', async () => {
    const seconds = async (...deliveries: Delivery[]) => followSeconds(await read(deliveries))
    const done = delivery({ state: 'succeeded' })
    expect(await seconds(done, delivery({ state: 'dead' }), delivery({ state: 'discarded' }))).toBeUndefined()
    expect(await seconds(done, delivery({ state: 'running' }))).toBe(1)
    expect(await seconds(delivery({ dueAtMs: NOW_MS + 5_000 }))).toBe(2)
    expect(await seconds(delivery({ dueAtMs: NOW_MS + 240_000 }))).toBe(10)
    expect(await seconds(delivery({ handler: 'gone' }))).toBe(10)
  })

  test('folds the attempts in the middle that failed in the same way, and opens the last one alone', async () => {
    const history = Array.from({ length: 12 }, (_, at) =>
      attempt(at + 1, { errorDetail: { name: 'Error', message: `m${at + 1}` } }),
    )
    const line = timeline(await read([delivery({ state: 'dead', attempts: 12, history })]), '').toString()
    expect(line).toContain('<bdi>billing</bdi>, attempts 2 to 11, the same error')
    expect(line).toContain('Show 10 attempts')
    expect(line).toContain('billing</bdi>, attempt 12, failed after 12 ms: dead')
    expect(line.match(/<h3>/g)).toHaveLength(4)
    expect(line.match(/<details/g)).toHaveLength(2)
    expect(line).toMatch(/<\/h3><pre class="trace"/)
    const others = history.map((each, at) => (at === 5 ? attempt(6, { cause: 'c2' }) : each))
    expect(timeline(await read([delivery({ history: others })]), '').toString()).toContain(
      'attempts 2 to 5, the same error',
    )
  })

  test('says what a service answered to which an event was forwarded, and then not the same again as an error', async () => {
    const answer = { from: 'http://orders.internal:3000', status: 503, durationMs: 31, text: 'out of <b>stock' }
    const error = 'http://orders.internal:3000 answered 503: out of <b>stock'
    const errorDetail = { name: 'Error', message: error }
    const told = async (...history: Attempt[]) => timeline(await read([delivery({ history })]), '').toString()
    const failed = await told(attempt(1, { error, errorDetail, answer }))
    expect(failed).toContain('<bdi>http:&#x2F;&#x2F;orders.internal:3000</bdi> answered <b>503</b> in 31 ms')
    expect(failed).toContain('<blockquote class="quoted"><bdi>out of &lt;b&gt;stock</bdi></blockquote>')
    expect(failed.match(/out of/g)).toHaveLength(1)
    const later = await told(attempt(1, { outcome: 'retry_after', error: `later; ${error}`, answer }))
    expect([later.match(/out of/g), later.includes('<p><bdi>later</bdi></p>')]).toEqual([['out of'], true])
    const done = await told({ number: 1, outcome: 'succeeded', startedAtMs: 1, durationMs: 40, answer })
    expect(done).toContain('succeeded in 40 ms')
    expect(done).toContain('answered <b>503</b>')
    // What else is thrown is not lost.
    const thrown = await told(
      attempt(1, { error, errorDetail: { ...errorDetail, stack: ['at a (b.ts:1:2)'] }, answer }),
    )
    expect(thrown).toContain('b.ts:1:2')
  })

  test('says that what the provider was asked cannot be read, and not that it is not kept', async () => {
    const task = { id: 'task_1', source: 'shop', uid: UID, status: 'completed', polls: 3, eventUid: UID } as Task
    const times = { createdAtMs: NOW_MS - 3_000, staleAtMs: NOW_MS - 2_000, endedAtMs: NOW_MS }
    const told = async (questions: TaskService['questions']) => {
      const story = await read([], [], { task: 'task_1' }, { show: async () => ({ ...task, ...times }), questions })
      return timeline(story, '').toString()
    }
    const failing = await told(() => Promise.reject(new Error('the store is away')))
    expect(failing).toContain('What the provider was asked cannot be read now')
    expect(failing).not.toContain('is not kept')
    expect(await told(async () => [])).toContain('asked 3 times')
  })

  test('says of the event that Holdfast made at the deadline of a task that no answer to a poll is its origin', async () => {
    const told = async (type: string) => timeline(await read([], [], { origin: 'poll', type }), '').toString()
    expect(await told('task.expired')).toContain('Made at the deadline of its task, and stored')
    expect(await told('task.completed')).toContain('Made of the answer to a poll, and stored')
    const about = { origin: 'poll', type: 'task.expired' } as const
    expect(madeOf(about)).toBe('made at the deadline of the task')
    expect(madeOf({ ...about, type: 'task.completed' })).toBe('made of the answer to a poll')
  })

  test('is short, whatever errors there are and however many', async () => {
    const bad = '\0\u202e<script>'.repeat(200)
    const answer = { from: bad, status: 500, durationMs: 1, text: bad }
    const errorDetail = { name: bad, message: bad, stack: Array.from({ length: 16 }, () => bad) }
    const history = Array.from({ length: 300 }, (_, at) =>
      attempt(at + 1, { error: bad, cause: `c${at}`, errorDetail, answer }),
    )
    const deliveries = Array.from({ length: 8 }, (_, at) =>
      delivery({ handler: `h${at}`, state: 'dead', lastError: bad, history }),
    )
    const story = await read(deliveries)
    const [line, says] = [timeline(story, '').toString(), verdict(story).toString()]
    expect([Buffer.byteLength(line) < 26_000, Buffer.byteLength(says) < 8_000]).toEqual([true, true])
    expect(line).toContain('not shown')
    expect(line).toContain('attempt 300')
    expect(line + says).not.toMatch(/\0|\u202e|<script/)
  })
})
