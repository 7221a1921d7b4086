import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'

/** The committed description: a route that is added later is called too. */
const DESCRIPTION = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/openapi.json'), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>
}

interface Schema {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly format?: string
  readonly minimum?: number
  readonly properties?: Record<string, Schema>
  readonly required?: readonly string[]
  readonly items?: Schema
}
interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly schema: Schema
}
interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } }
}
interface Route extends Operation {
  readonly method: string
  readonly path: string
}

const ROUTES: readonly Route[] = Object.entries(DESCRIPTION.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, ...operation })),
)

const TOKEN = 'c0ffee11d00d5eed-changes'
const READ_TOKEN = 'b0a1f7c2d93e4856-reads'
const API_KEY = 'sk-9f8e7d6c5b4a39281706'
const SECRETS = [TOKEN, READ_TOKEN, API_KEY, AI_SECRET, AI_SECRET.replace('whsec_', '')]

const HEALTH = ['/livez', '/readyz']
/** Reads, but asks providers. */
const CALLS_OUT = 'GET /v1/registrations'
/** Each call takes long, since it replaces the handler processes. */
const SLOW = '/v1/reload'

const ODD = [
  '',
  '\0',
  'ä\u{1f4a5}\u202e',
  '\ud800',
  '-1',
  '1e9',
  '9'.repeat(30),
  "'; DROP TABLE event; --",
  '%',
  '*',
  '../../etc/passwd',
  '__proto__',
  'x'.repeat(3_000),
]
const ODD_VALUES: readonly unknown[] = [
  ...ODD.filter((text) => text.isWellFormed()),
  null,
  true,
  -1,
  0.5,
  1e21,
  [],
  {},
  [[]],
  { a: { b: [] } },
]
const ODD_BODIES = [
  '',
  '{',
  'null',
  '[]',
  '1',
  '"a"',
  '{"a":1}',
  '{"__proto__":{}}',
  `${'['.repeat(100)}${']'.repeat(100)}`,
  '\0',
  '{"a":"\\u0000"}',
]

/** Names of things that exist. */
type Known = Readonly<Record<string, string>>

function sampleOf(
  name: string,
  { type, enum: words, format, minimum, properties = {}, required = [], items }: Schema,
  known: Known,
): unknown {
  if (known[name] !== undefined && (type === undefined || type === 'string')) return known[name]
  if (words !== undefined) return words[0]
  if (format === 'date-time') return new Date().toISOString()
  if (type === 'integer' || type === 'number') return minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'array') return items === undefined ? [] : [sampleOf(name, items, known)]
  if (type === 'object')
    return Object.fromEntries(required.map((each) => [each, sampleOf(each, properties[each] ?? {}, known)]))
  return 'completion.finished'
}

interface Call {
  readonly url: string
  readonly headers: Record<string, string>
  readonly body?: string
}

const encoded = (text: string): string => encodeURIComponent(text.toWellFormed())

/** The same route with valid input, and with one odd thing at a time. */
function* callsOf({ path, parameters = [], requestBody }: Route, known: Known): Generator<Call> {
  const valid = new Map(parameters.map((each) => [each, String(sampleOf(each.name, each.schema, known))]))
  const schema = requestBody?.content['application/json'].schema
  const body = schema && (sampleOf('', { type: 'object', ...schema }, known) as Record<string, unknown>)
  const compose = (values: ReadonlyMap<Parameter, string>, given: string | undefined, inQuery = true): Call => {
    let url = path
    const query: string[] = []
    const headers: Record<string, string> = {}
    for (const [{ name, in: place }, value] of values) {
      if (place === 'path') url = url.replace(`{${name}}`, encoded(value))
      else if (place === 'query' && inQuery) query.push(`${name}=${encoded(value)}`)
      else if (place === 'header') headers[name] = value.replace(/[^\x20-\x7e]/g, '?')
    }
    if (given !== undefined) headers['content-type'] = 'application/json'
    return {
      url: query.length === 0 ? url : `${url}?${query.join('&')}`,
      headers,
      ...(given !== undefined && { body: given }),
    }
  }
  const text = body === undefined ? undefined : JSON.stringify(body)
  yield compose(valid, text, false)
  if (path === SLOW) return
  yield compose(valid, text)
  for (const parameter of parameters)
    for (const odd of ODD)
      yield compose(
        new Map(
          [...valid]
            .filter(([each]) => each === parameter || each.in === 'path')
            .map(([each, value]) => [each, each === parameter ? odd : value]),
        ),
        text,
      )
  yield { ...compose(valid, text, false), url: `${compose(valid, text, false).url}?unknown=1&unknown=2&%=` }
  if (schema === undefined) return
  for (const odd of ODD_BODIES) yield compose(valid, odd, false)
  for (const name of Object.keys(schema.properties ?? {}))
    for (const odd of ODD_VALUES) yield compose(valid, JSON.stringify({ ...body, [name]: odd }), false)
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    for (const inner of Object.keys(property.properties ?? {}))
      for (const odd of ODD_VALUES) yield compose(valid, JSON.stringify({ ...body, [name]: { [inner]: odd } }), false)
}

/** The answer, of a stream only its beginning. */
async function ask({ opsUrl }: LocalService, method: string, { url, headers, body }: Call, token?: string) {
  const answer = await fetch(opsUrl + url, {
    method,
    headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    ...(body !== undefined && method !== 'GET' && method !== 'HEAD' && { body }),
  })
  const type = answer.headers.get('content-type') ?? ''
  if (type.startsWith('text/event-stream')) await answer.body?.cancel()
  const text = answer.bodyUsed ? '' : await answer.text()
  return { status: answer.status, type, all: `${JSON.stringify([...answer.headers])}${text}` }
}

async function start(databaseUrl: string | undefined): Promise<{ service: LocalService; known: Known }> {
  const service = await startLocal({
    ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }),
    OPS_TOKEN: TOKEN,
    OPS_READ_TOKEN: READ_TOKEN,
    SOURCE_AI_API_KEY: API_KEY,
    // Discard: nothing listens there.
    SOURCE_AI_API_URL: 'http://127.0.0.1:9',
    PUBLIC_URL: 'http://127.0.0.1:9',
  })
  const { uid } = await post(service.publicUrl, signedEvent('completion.finished', { total_tokens: 1 }))
  const authorization = `Bearer ${TOKEN}`
  const headers = { authorization, 'content-type': 'application/json' }
  await fetch(`${service.opsUrl}/v1/tasks`, { method: 'POST', headers, body: '{"source":"ai","task_id":"task_1"}' })
  const handlers = await eventually(
    async () =>
      (await (await fetch(`${service.opsUrl}/v1/handlers`, { headers })).json()) as { items: { name: string }[] },
    ({ items }) => items.length > 0,
  )
  return {
    service,
    known: {
      uid,
      event_uid: uid,
      id: uid,
      source: 'ai',
      name: handlers.items[0]?.name ?? '',
      handler: handlers.items[0]?.name ?? '',
      task_id: 'task_1',
    },
  }
}

describe.each([
  ['the embedded store', () => undefined],
  ['PostgreSQL', () => ownSchema()],
])('with %s, every route of the ops API', (_, databaseUrl) => {
  test('asks for a token, refuses to change anything for the token that only reads, and answers any input without a fault of its own and without a secret', async () => {
    const { service, known } = await start(databaseUrl())
    let calls = 0
    for (const route of ROUTES) {
      const { method, path } = route
      const about = `${method} ${path}`
      const named = path.startsWith('/v1/sources/') ? { ...known, name: 'ai' } : known
      const [plain] = callsOf(route, named)
      if (plain === undefined) throw new Error(`${about} is not called`)
      if (!HEALTH.includes(path)) {
        expect((await ask(service, method, plain)).status, about).toBe(401)
        expect((await ask(service, method, plain, 'wrong')).status, about).toBe(401)
      }
      const { status: read } = await ask(service, method, plain, READ_TOKEN)
      if ((method !== 'GET' && method !== 'HEAD') || about === CALLS_OUT) expect(read, about).toBe(403)
      else expect(read, about).not.toBe(403)
      for (const call of callsOf(route, named)) {
        calls++
        const { status, type, all } = await ask(service, method, call, TOKEN)
        const said = `${about}: ${call.url.slice(0, 200)} ${call.body?.slice(0, 200) ?? ''} → ${status} ${all.slice(-300)}`
        expect(status < 500 || status === 502, said).toBe(true)
        if (status >= 400 && method !== 'HEAD') expect(type, said).toBe('application/problem+json')
        for (const secret of SECRETS) expect(all.includes(secret), said).toBe(false)
      }
    }
    expect(calls).toBeGreaterThan(ROUTES.length * 5)
    expect(JSON.stringify(service.logs.filter(({ msg }) => msg === 'request failed'))).toBe('[]')
  })
})
