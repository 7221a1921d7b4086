import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { fingerprintOf } from '../../src/domain/checksum.ts'
import type { HandlerDefinition } from '../../src/domain/handler.ts'
import { parseJson } from '../../src/domain/json.ts'
import { MAX_INLINE_BYTES } from '../../src/domain/limits.ts'
import type { Provider } from '../../src/domain/provider.ts'
import { createInlineReader } from '../../src/pipeline/body-reader.ts'
import { createLongBodyReader } from '../../src/pipeline/long-body-reader.ts'
import type { ReadContext } from '../../src/pipeline/read-event.ts'
import { compileRoutes } from '../../src/pipeline/routes.ts'
import ai from '../../src/providers/ai/provider.ts'
import { temporaryDirectory } from '../support/service.ts'

const webhook: ReadContext = { id: '', type: '', origin: 'webhook', headers: {}, receivedAtMs: 0 }
const polled = { id: 'poll_1', task: 't1', receivedAtMs: 1_000 }
const sourceOf = (provider: Provider) => ({ name: 'ai', provider, types: ['*'], accepts: () => true })
const FILLER = 'x'.repeat(MAX_INLINE_BYTES + 1)

interface Given {
  readonly handlers?: () => readonly HandlerDefinition[]
  readonly faults?: () => readonly string[]
  /** The text of a provider's module. */
  readonly module?: string
  readonly maxReadingMs?: number
}

function start({ handlers, module, faults = () => [], ...rest }: Given = {}) {
  const defined: readonly HandlerDefinition[] = [{ name: 'end', types: ['task.*'] }]
  const known = handlers ?? (() => defined)
  const file = join(temporaryDirectory(), 'own.ts')
  if (module !== undefined) writeFileSync(file, module)
  const reader = createLongBodyReader({
    providerModules: {
      ai: new URL('../../src/providers/ai/provider.ts', import.meta.url).href,
      own: pathToFileURL(file).href,
    },
    isolated: { has: ({ name }) => name === 'own' },
    inline: createInlineReader((...args) => compileRoutes(known())(...args)),
    handlers: known,
    faults,
    log: pino({ level: 'silent' }),
    ...rest,
  })
  onTestFinished(() => reader.close())
  return reader
}

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

describe('a long body', () => {
  test('is read and routed like a short one, but without its data', async () => {
    const reader = start()
    const read = (text: string) =>
      reader.event(
        sourceOf(ai),
        webhook,
        bytes({ id: 'e1', type: 'task.completed', data: { task_id: 't1', status: 'completed', text } }),
      )
    const [short, long] = [await read('x'), await read(FILLER)]
    expect(short.routing).toEqual({ status: 'accepted', handlers: ['end'], reasons: [] })
    expect(long.routing).toEqual(short.routing)
    if (!short.reading.ok || !long.reading.ok) throw new Error('unreadable')
    expect({ ...long.reading.fields, data: null }).toEqual({ ...short.reading.fields, data: null })
    expect(long.reading.end).toEqual({ status: 'completed', word: 'completed' })
    expect(Object.keys(long.reading.payload as object)).toEqual(Object.keys(short.reading.payload as object))
    expect(long.reading.fields.data).toBeUndefined()
  })

  test('is checked by its schema, and quarantined if it is not JSON', async () => {
    const reader = start()
    const event = (data: object) => bytes({ id: 'e1', type: 'task.completed', data: { ...data, text: FILLER } })
    const { routing } = await reader.event(sourceOf(ai), webhook, event({ task_id: 't1', status: 7 }))
    expect(routing).toMatchObject({ status: 'quarantined', reasons: [expect.stringContaining('/status')] })
    const { reading } = await reader.event(sourceOf(ai), webhook, Buffer.from(`${FILLER}`))
    expect(reading).toMatchObject({ ok: false, reasons: ['the body is not valid JSON'] })
  })

  test('is routed by the present handlers', async () => {
    let handlers: readonly HandlerDefinition[] = [{ name: 'one', types: ['task.*'] }]
    const reader = start({ handlers: () => handlers })
    const body = bytes({ id: 'e1', type: 'task.created', data: { task_id: 't1', status: 'x', text: FILLER } })
    const handlersOf = async () => (await reader.event(sourceOf(ai), webhook, body)).routing.handlers
    expect(await handlersOf()).toEqual(['one'])
    expect(await handlersOf()).toEqual(['one'])
    handlers = [{ name: 'two', types: ['*'] }]
    expect(await handlersOf()).toEqual(['two'])
  })

  test('that answers a poll gives the status of its task, and one that answers a submission gives the task id', async () => {
    const reader = start()
    const of = (answer: object) => reader.pollAnswer(sourceOf(ai), polled, bytes({ ...answer, text: FILLER }))
    expect(await of({ task_id: 't1', status: 'completed' })).toMatchObject({
      kind: 'ended',
      providerStatus: 'completed',
      reading: { ok: true, fields: { id: 'poll_1', task: 't1', type: 'task.completed', data: undefined } },
      routing: { status: 'accepted', handlers: ['end'] },
    })
    expect(await of({ task_id: 't1', status: 'running' })).toEqual({ kind: 'pending', providerStatus: 'running' })
    expect(await of({ task_id: 't2', status: 'completed' })).toEqual({ kind: 'nothing' })
    expect(await reader.pollAnswer(sourceOf(ai), polled, Buffer.from(FILLER))).toEqual({ kind: 'unreadable' })
    expect(await reader.taskId(ai, bytes({ text: FILLER, task_id: 't7' }))).toBe('t7')
  })

  test('of a caller’s request gives what is sent to the provider, and its fingerprint', async () => {
    const reader = start()
    const request = { prompt: FILLER, first: { z: 1, a: [{ z: 1, a: 2 }] } }
    const submission = { webhookUrl: 'https://hooks.example', secret: 's' }
    const askedFor = (body: Buffer) => reader.apiWithBody(ai, 'tasks.submit.request', body, [submission])
    const jsonText = JSON.stringify({ ...request, webhook_url: submission.webhookUrl })
    expect(await askedFor(bytes(request))).toEqual({
      kind: 'read',
      value: { method: 'POST', path: '/tasks', jsonText },
    })
    expect(await askedFor(Buffer.from(FILLER))).toEqual({ kind: 'unreadable' })
    const mixed = { first: { a: [{ a: 2, z: 1 }], z: 1 }, prompt: FILLER }
    expect(await reader.fingerprint(ai, { source: 'ai' }, bytes(mixed))).toBe(
      fingerprintOf({ submit: request, source: 'ai' }),
    )
    expect(await reader.fingerprint(ai, {}, Buffer.from(FILLER))).toBeUndefined()
  })

  test('is refused while the handlers are not known', async () => {
    const reader = start({ faults: () => ['no worker'] })
    await expect(reader.event(sourceOf(ai), webhook, Buffer.from(FILLER))).rejects.toMatchObject({
      code: 'unavailable',
    })
  })

  test('that hangs or ends its thread is quarantined, and the bodies behind it are read', async () => {
    const module = `export default {
      name: 'own', verify: { scheme: 'shared-secret', from: { header: 'x' } },
      event: ({ body }) => {
        if (body.does === 'hang') for (;;);
        if (body.does === 'exit') process.exit(1)
        return { id: body.id, type: 'task.x', data: body }
      },
    }`
    const own = { ...ai, name: 'own' }
    const reader = start({ module, maxReadingMs: 1_500 })
    const read = (does: string) => reader.event(sourceOf(own), webhook, bytes({ id: does, does, text: FILLER }))
    const [hung, first, ended, second] = await Promise.all(['hang', 'work', 'exit', 'work'].map(read))
    expect(hung?.routing).toMatchObject({
      status: 'quarantined',
      reasons: ['the body could not be read: it took more than 1500 ms'],
    })
    expect(ended?.routing).toMatchObject({
      status: 'quarantined',
      reasons: ['the body could not be read: the thread that read it ended'],
    })
    for (const each of [first, second]) expect(each?.routing).toMatchObject({ status: 'accepted', handlers: ['end'] })
  })

  test('of more than 16 KiB is read by a user’s own code in a thread of its own, where a shorter one is not', async () => {
    const module = `export default {
      name: 'own', verify: { scheme: 'shared-secret', from: { header: 'x' } },
      event: () => ({ id: 'by itself', type: 'task.x', data: {} }),
    }`
    const elsewhere = { ...ai, name: 'own', event: () => ({ id: 'here', type: 'task.x', data: {} }) }
    const reader = start({ module })
    const read = async (length: number) => {
      const { reading } = await reader.event(sourceOf(elsewhere), webhook, bytes('x'.repeat(length - 2)))
      return reading.ok && reading.fields.id
    }
    expect([await read(16_384), await read(16_385)]).toEqual(['here', 'by itself'])
  })

  test('is read by a user’s code in a thread with its own copy of the environment', async () => {
    const module = `export default { name: 'own', event: () => {
      const was = process.env.HOLDFAST_TEST_OWN ?? 'unset'
      process.env.HOLDFAST_TEST_OWN = 'changed'
      return { id: '1', type: was, data: {} }
    } }`
    const reader = start({ module, handlers: () => [{ name: 'all', types: ['*'] }] })
    const own = sourceOf({ ...ai, name: 'own' })
    const type = async () => (await reader.event(own, webhook, bytes({ text: FILLER }))).reading
    expect(await type()).toMatchObject({ fields: { type: 'unset' } })
    expect(await type()).toMatchObject({ fields: { type: 'changed' } })
    expect(process.env.HOLDFAST_TEST_OWN).toBeUndefined()
  })

  test('of another provider neither waits for a user’s code that hangs nor is lost because of what that code left running', async () => {
    const module = `setInterval(() => void Promise.reject(new Error('always')), 20)
    export default {
      name: 'own', verify: { scheme: 'shared-secret', from: { header: 'x' } },
      event: ({ body }) => {
        if (body.does === 'hang') for (;;);
        setImmediate(() => void Promise.reject(new Error('late')))
        return { id: body.id, type: 'task.x', data: body }
      },
    }`
    const reader = start({ module, maxReadingMs: 5_000 })
    const own = (does: string) => reader.event(sourceOf({ ...ai, name: 'own' }), webhook, bytes({ does, text: FILLER }))
    const honest = () =>
      reader.event(sourceOf(ai), webhook, bytes({ id: 'e1', type: 'task.x', data: { text: FILLER.repeat(20) } }))
    const order: string[] = []
    const late = own('late')
    for (let at = 0; at < 10; at++) expect((await honest()).routing.status).toBe('accepted')
    await late
    const hanging = own('hang').then(() => order.push('hanging'))
    await honest().then(() => order.push('honest'))
    await hanging
    expect(order).toEqual(['honest', 'hanging'])
  })

  test('is read again if its thread was ended by something that an earlier body left running', async () => {
    const module = `export default {
      name: 'own', verify: { scheme: 'shared-secret', from: { header: 'x' } },
      event: ({ body }) => {
        if (body.does === 'late') setTimeout(() => void Promise.reject(new Error('late')), 5)
        return { id: body.id, type: 'task.x', data: body }
      },
    }`
    const reader = start({ module })
    const read = (does: string) =>
      reader.event(sourceOf({ ...ai, name: 'own' }), webhook, bytes({ id: does, does, text: FILLER }))
    const all = await Promise.all(['late', ...Array.from({ length: 100 }, (_, n) => `${n}`)].map(read))
    expect(all.filter(({ routing }) => routing.status !== 'accepted')).toEqual([])
  })

  test('of a webhook does not wait for answers to polls', async () => {
    const reader = start()
    const shapes = Array.from({ length: 400_000 }, (_, n) => ({ [`k${n.toString(36)}`]: 1 }))
    const order: string[] = []
    const webhookOf = (id: string) =>
      reader.event(sourceOf(ai), webhook, bytes({ id, type: 'task.x', data: { FILLER } }))
    await webhookOf('e1')
    const answer = bytes({ task_id: 't1', status: 'completed', shapes })
    await reader.pollAnswer(sourceOf(ai), polled, bytes({ text: FILLER }))
    const answers = Promise.all(
      [answer, answer, answer].map((each) => reader.pollAnswer(sourceOf(ai), polled, each)),
    ).then(() => order.push('answers'))
    await webhookOf('e2').then(() => order.push('webhook'))
    await answers
    expect(order).toEqual(['webhook', 'answers'])
  })
})

/** The longest that this thread was held while something went on. */
async function longestHoldMs(work: () => Promise<unknown>): Promise<number> {
  let isOver = false
  let longestMs = 0
  let lastAt = performance.now()
  const look = (): void => {
    longestMs = Math.max(longestMs, performance.now() - lastAt)
    lastAt = performance.now()
    if (!isOver) setImmediate(look)
  }
  setImmediate(look)
  await work()
  isOver = true
  return longestMs
}

test('a long body of many shapes does not block the main thread, as parsing it there would', async () => {
  const reader = start()
  const shapes = Array.from({ length: 400_000 }, (_, n) => ({ [`k${n.toString(36)}`]: 1 }))
  const body = bytes({ task_id: 't1', status: 'completed', shapes })
  // The thread starts with its first body.
  await reader.pollAnswer(sourceOf(ai), polled, bytes({ text: FILLER }))
  const heldMs = await longestHoldMs(() => reader.pollAnswer(sourceOf(ai), polled, body))
  const startedAt = performance.now()
  parseJson(body)
  const parsedMs = performance.now() - startedAt
  expect(heldMs).toBeLessThan(parsedMs / 3)
})
