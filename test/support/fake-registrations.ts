import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

/** The one key that a fake lets in. */
export const API_KEY = 'sk-test-9f8e7d6c5b4a39281706'

export interface FakeHook {
  readonly id: string
  url: string
  events: string[]
  active: boolean
  /** What the fake was told, or made. */
  secret: string | undefined
}

export interface ReceivedCall {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingHttpHeaders
  /** JSON parsed, a form as its pairs; undefined where there was none. */
  readonly body: unknown
}

export interface FakeRegistrations {
  readonly url: string
  readonly received: ReceivedCall[]
  readonly hooks: FakeHook[]
  add(hook: Partial<FakeHook>): FakeHook
  /** What every later request is answered with, until it is undefined again. */
  answer: { readonly status: number; readonly body: string } | undefined
  /** What makes and changes a registration is answered with its id alone. */
  terse: boolean
}

type HookFields = Partial<Pick<FakeHook, 'url' | 'events' | 'active' | 'secret'>>

/** How one API speaks, written from its documentation and apart from our provider modules. */
interface Dialect {
  readonly path: string
  readonly id: (count: number) => string
  readonly updateMethod: 'POST' | 'PATCH'
  readonly createdStatus: number
  readonly removed: { readonly status: number; readonly body?: object }
  readonly handsOutSecret: boolean
  readonly read: (body: unknown) => HookFields
  readonly view: (hook: FakeHook, secret: string | undefined) => object
  readonly list: (hooks: readonly FakeHook[], query: Readonly<Record<string, string>>) => object
  readonly error: (message: string) => object
}

type Json = Record<string, unknown>

/** What was given, under our names. */
const given = (fields: Record<keyof HookFields, unknown>): HookFields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** A page of at most two after the hook of this id, whatever size was asked for. */
function pageAfter(hooks: readonly FakeHook[], id: string | undefined) {
  const start = id === undefined ? 0 : hooks.findIndex((hook) => hook.id === id) + 1
  const page = hooks.slice(start, start + 2)
  return { page, has_more: start + page.length < hooks.length }
}

const openaiView = (hook: FakeHook, secret: string | undefined) => ({
  id: hook.id,
  object: 'webhook_endpoint',
  created_at: 1_700_000_000,
  name: 'x',
  url: hook.url,
  event_types: hook.events,
  signing_secret_hint: 'whsec_…',
  ...(secret !== undefined && { signing_secret: secret }),
})

const stripeView = (hook: FakeHook, secret: string | undefined) => ({
  id: hook.id,
  object: 'webhook_endpoint',
  url: hook.url,
  enabled_events: hook.events,
  status: hook.active ? 'enabled' : 'disabled',
  ...(secret !== undefined && { secret }),
})

const githubView = (hook: FakeHook) => ({
  type: 'Repository',
  id: Number(hook.id),
  name: 'web',
  active: hook.active,
  events: hook.events,
  config: { url: hook.url, content_type: 'json', insecure_ssl: '0', ...(hook.secret && { secret: '********' }) },
  url: `https://api.github.com/repos/acme/shop/hooks/${hook.id}`,
})

const aiView = ({ id, url, events, active }: FakeHook) => ({ id, url, events, active })

const dialects = {
  ai: {
    path: '/webhooks',
    id: (count) => `wh_${count}`,
    updateMethod: 'PATCH',
    createdStatus: 201,
    removed: { status: 204 },
    handsOutSecret: false,
    read: (body) => given(body as Record<keyof HookFields, unknown>),
    view: aiView,
    list: (hooks) => ({ webhooks: hooks.map(aiView) }),
    error: (message) => ({ error: message }),
  },
  stripe: {
    path: '/v1/webhook_endpoints',
    id: (count) => `we_${count}`,
    updateMethod: 'POST',
    createdStatus: 200,
    removed: { status: 200, body: { id: 'we', object: 'webhook_endpoint', deleted: true } },
    handsOutSecret: true,
    read: (body) => {
      const pairs = body as [string, string][]
      const events = pairs.filter(([name]) => name === 'enabled_events[]').map(([, value]) => value)
      const { url, disabled } = Object.fromEntries(pairs)
      return given({
        url,
        events: events.length > 0 ? events : undefined,
        active: disabled === undefined ? undefined : disabled === 'false',
        secret: undefined,
      })
    },
    view: stripeView,
    list: (hooks, { starting_after: after }) => {
      const { page, has_more } = pageAfter(hooks, after)
      return { object: 'list', data: page.map((hook) => stripeView(hook, undefined)), has_more }
    },
    error: (message) => ({ error: { type: 'invalid_request_error', message } }),
  },
  github: {
    path: '/repos/acme/shop/hooks',
    id: (count) => String(1_000 + count),
    updateMethod: 'PATCH',
    createdStatus: 201,
    removed: { status: 204 },
    handsOutSecret: false,
    read: (body) => {
      const { events, active, config = {} } = body as Json & { config?: Json }
      return given({ events, active, url: config.url, secret: config.secret })
    },
    view: githubView,
    list: (hooks, { per_page = '30', page = '1' }) => {
      const size = Number(per_page)
      return hooks.slice((Number(page) - 1) * size, Number(page) * size).map(githubView)
    },
    error: (message) => ({ message: 'Validation Failed', errors: [{ resource: 'Hook', message }], status: '422' }),
  },
  openai: {
    path: '/v1/webhook_endpoints',
    id: (count) => `whe_${count}`,
    updateMethod: 'POST',
    createdStatus: 200,
    removed: { status: 200, body: { id: 'whe', object: 'webhook_endpoint.deleted', deleted: true } },
    handsOutSecret: true,
    read: (body) => {
      const { url, event_types } = body as Json
      return given({ url, events: event_types, active: undefined, secret: undefined })
    },
    view: openaiView,
    list: (hooks, { after }) => {
      const { page, has_more } = pageAfter(hooks, after)
      const data = page.map((hook) => openaiView(hook, undefined))
      return { object: 'list', data, first_id: page[0]?.id ?? null, last_id: page.at(-1)?.id ?? null, has_more }
    },
    error: (message) => ({ error: { message, type: 'invalid_request_error', code: null } }),
  },
} as const satisfies Record<string, Dialect>

export type FakeApi = keyof typeof dialects

/** What `SOURCE_<NAME>_API_URL` is for a fake at this origin. */
const BASE: Readonly<Record<FakeApi, string>> = { ai: '', stripe: '', github: '/repos/acme/shop', openai: '/v1' }

/** A provider's registration API on a port of its own; it is gone when the test is over. */
export async function startFakeRegistrations(api: FakeApi): Promise<FakeRegistrations> {
  const fake = await openFakeRegistrations(api)
  onTestFinished(fake.close)
  return fake
}

/** The same for a suite, which closes it. */
export async function openFakeRegistrations(
  api: FakeApi,
): Promise<FakeRegistrations & { readonly close: () => Promise<void> }> {
  const dialect: Dialect = dialects[api]
  const hooks: FakeHook[] = []
  let made = 0

  const add = (fields: Partial<FakeHook>): FakeHook => {
    const id = dialect.id(++made)
    const secret = dialect.handsOutSecret
      ? `whsec_${Buffer.from(`handed out for ${id} ${api}`).toString('base64')}`
      : undefined
    const hook = { id, url: 'https://elsewhere.example/hook', events: ['a.b'], active: true, secret, ...fields }
    hooks.push(hook)
    return hook
  }

  const fake: FakeRegistrations = { url: '', received: [], hooks, add, answer: undefined, terse: false }

  const viewOf = (hook: FakeHook, secret: string | undefined): object =>
    fake.terse ? { id: hook.id } : dialect.view(hook, secret)

  function reply({ method, path, query, headers, body }: ReceivedCall): { status: number; body?: object | string } {
    if (fake.answer !== undefined) return fake.answer
    const key = headers.authorization?.replace(/^Bearer /, '')
    if (key !== API_KEY) return { status: 401, body: dialect.error(`Invalid API Key provided: ${key}`) }
    if (path === dialect.path && method === 'GET') return { status: 200, body: dialect.list(hooks, query) }
    if (path === dialect.path && method === 'POST') {
      const hook = add(dialect.read(body))
      return { status: dialect.createdStatus, body: viewOf(hook, hook.secret) }
    }
    const at = hooks.findIndex(({ id }) => path === `${dialect.path}/${id}`)
    const hook = hooks[at]
    if (hook === undefined) return { status: 404, body: dialect.error(`No such thing: ${path}`) }
    if (method === 'DELETE') {
      hooks.splice(at, 1)
      return dialect.removed
    }
    if (method !== dialect.updateMethod) return { status: 405, body: dialect.error('method') }
    Object.assign(hook, dialect.read(body))
    return { status: 200, body: viewOf(hook, undefined) }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://fake')
    const call: ReceivedCall = {
      method: request.method ?? '',
      path: pathname,
      query: Object.fromEntries(searchParams),
      headers: request.headers,
      body: parsed(await text(request), request.headers['content-type']),
    }
    fake.received.push(call)
    const { status, body } = reply(call)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body))
  }

  const server = createServer((request, response) => void serve(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(fake, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${BASE[api]}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

function parsed(body: string, contentType: string | undefined): unknown {
  if (body === '') return undefined
  return contentType?.startsWith('application/x-www-form-urlencoded') === true
    ? [...new URLSearchParams(body)]
    : JSON.parse(body)
}
