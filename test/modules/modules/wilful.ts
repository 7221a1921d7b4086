import { parentPort } from 'node:worker_threads'
import type { Headers } from '../../../src/domain/event.ts'

interface Body {
  readonly id?: string
  readonly type?: string
  readonly task?: string
  readonly do?: string
  readonly data?: { readonly ends?: string }
}

/** As the service may expect it, or nearly. */
const SAID = [
  'ready',
  null,
  { kind: 'failed', error: 'said' },
  { kind: 'line' },
  { number: 0, answer: { kind: 'failed' } },
]

/** What a reader can do that it should not, by what it is asked to read. */
function act(body: Body | undefined): unknown {
  if (body?.do === 'loop') for (;;);
  // As a loop does, but it leaves the cores to others.
  if (body?.do === 'block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  if (body?.do === 'talk') for (let n = 0; n < 200_000; n++) console.log('line', n)
  if (body?.do === 'say') for (const said of SAID) parentPort?.postMessage(said)
  if (body?.do === 'path') return 'x'.repeat(100_000)
  if (body?.do === 'exit') process.exit(3)
  if (body?.do === 'throw') throw new RangeError('with a piece of the body')
  if (body?.do === 'hoard')
    for (const hoard: unknown[] = []; ; ) hoard.push(Array.from({ length: 100_000 }, () => ({})))
  if (body?.do === 'grow') for (const grown = new Map<number, number>(); ; ) grown.set(grown.size, 1)
  if (body?.do === 'swell') return Array.from({ length: 100_000 }, () => 'swollen')
  if (body?.do === 'function') return { n: 1, call: () => 'cannot cross threads' }
  if (body?.do === 'null')
    setTimeout(() => {
      throw null
    }, 1)
  if (body?.do === 'leak')
    setTimeout(() => {
      for (const leak = new Map<number, number>(); ; ) leak.set(leak.size, 1)
    }, 1)
  if (body?.do === 'soon') process.nextTick(() => void Promise.reject(new Error('soon')))
  if (body?.do === 'late') setTimeout(() => void Promise.reject(new Error('late')), 1)
  return body?.data ?? {}
}

const HOOK = { id: 'h', url: 'https://hooks.example', events: ['a'], active: true }

const many = (id: string): object =>
  id === 'many' ? Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [n, ''])) : {}

export default {
  name: 'wilful',
  verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
  event: ({ headers, body }: { headers: Headers; body?: Body }) =>
    body?.do === 'reject'
      ? Promise.reject(new Error('unheard'))
      : {
          id: body?.id ?? headers['x-id'],
          type: body?.type ?? 'wilful.thing',
          data: act(body),
          task: body?.task,
        },
  ends: ({ data }: Pick<Body, 'data'>) => {
    if (data?.ends === 'loop') for (;;);
    return data?.ends === undefined ? undefined : { status: 'completed', word: data.ends }
  },
  api: {
    headers: (key: string) => act({ do: key }) && { authorization: `Bearer ${key}`, 'x-count': 1, 'x-call': () => 1 },
    tasks: {
      poll: (id: string) => {
        const path = act({ do: id })
        return { method: 'GET', path: typeof path === 'string' ? path : `/${id}` }
      },
      submit: {
        request: ({ request, secret }: { request: Body; secret: string }) => {
          act(request)
          return { method: 'POST', path: '/tasks', json: { ...request, secret, none: undefined } }
        },
        taskId: (answer: Body) => act(answer) && answer.id,
        callsBack: false,
        idempotent: true,
      },
      read: (answer: Body, id: string) => {
        act(answer)
        return { status: 'completed', word: 'done', event: { type: 'wilful.done', data: { ...answer, id } } }
      },
    },
    registrations: {
      list: (after?: string) => act({ do: after ?? '' }) && { method: 'GET', path: '/hooks' },
      readList: (answer: Body) => ({ items: [act(answer), HOOK], next: answer.id }),
      create: ({ url }: { url: string }, secret: string) => {
        if (url === 'refused') throw new TypeError(`no ${secret}`)
        act({ do: url })
        return { method: 'POST', path: '/hooks', json: { url, secret }, more: url }
      },
      update: (id: string) => (act({ do: id }) ? undefined : null),
      remove: (id: string) => act({ do: id }) && { method: 'DELETE', path: `/hooks/${id}`, query: many(id) },
      read: (answer: Body) => act(answer) && { ...HOOK, more: 1 },
      secret: (answer: Body) => act(answer) && 'handed out',
      events: ['a'],
      eventOf: (type: string) => act({ do: type }) && `its ${type}`,
    },
  },
}
