import { expect, test } from 'vitest'
import { ownSchema } from '../support/postgres/schema.ts'
import { OPS_TOKEN, type Scene, startScene } from './scene.ts'
import { signedIn, type Visitor } from './visitor.ts'

const ODD = [
  '',
  '\0',
  'ä\u{1f4a5}\u202e',
  '-1',
  '9'.repeat(30),
  "'; DROP TABLE event; --",
  '%',
  '*',
  '"',
  ':',
  'data.a:',
  'since:never',
  '../../etc/passwd',
  '__proto__',
  '<script>',
  'x'.repeat(3_000),
]

/** Ends sessions, waits on purpose, or starts everything again. */
const LEFT_OUT = /^\/console\/(?:sign-in|sign-out|assets|config\/reload|live)/
/** Names under which any page might be asked something. */
const NAMES = [
  'q',
  'source',
  'type',
  'handler',
  'outcome',
  'status',
  'cause',
  'cursor',
  'since',
  'until',
  'range',
  'path',
  'show',
  'to',
]

interface Form {
  readonly action: string
  readonly fields: readonly string[]
}

interface Found {
  readonly paths: Set<string>
  readonly forms: Map<string, Form>
  readonly names: Set<string>
}

const decoded = (text: string): string =>
  text
    .replaceAll(/&#x([\dA-F]{2});/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')

const kindOf = (path: string): string => (path.split('?')[0] ?? '').replaceAll(/\/[\w.%-]*\d[\w.%-]*/g, '/*')

/** Every page, part and form that links lead to, one of each kind. */
async function explore({ get }: Visitor): Promise<Found> {
  const found: Found = { paths: new Set(), forms: new Map(), names: new Set(NAMES) }
  const waiting = ['/console', '/console/preferences']
  const kinds = new Set<string>()
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    if (kinds.has(kindOf(path)) || LEFT_OUT.test(path)) continue
    kinds.add(kindOf(path))
    const { text } = await get(path)
    found.paths.add(path.split('?')[0] ?? path)
    for (const [, url = ''] of text.matchAll(/(?:href|hx-get)="(&#x2F;console[^"]*|\/console[^"]*)"/g)) {
      const link = decoded(url).replace(/#.*$/, '')
      waiting.push(link)
      for (const name of new URL(link, 'http://localhost').searchParams.keys()) found.names.add(name)
    }
    for (const [, attributes = '', inner = ''] of text.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)) {
      const fields = [...inner.matchAll(/ name="([^"]+)"/g)].map(([, name = '']) => name)
      const action = decoded(/action="([^"]*)"/.exec(attributes)?.[1] ?? path)
      if (!attributes.includes('method="post"')) for (const name of fields) found.names.add(name)
      else if (!LEFT_OUT.test(action)) found.forms.set(kindOf(action), { action, fields })
    }
  }
  return found
}

function* oddUrls({ paths, names }: Found): Generator<string> {
  for (const path of paths) {
    const segments = path.split('/')
    for (const odd of ODD) {
      const encoded = encodeURIComponent(odd)
      for (let at = 3; at < segments.length; at++) yield segments.with(at, encoded).join('/')
      for (const name of names) yield `${path}?${name}=${encoded}`
    }
    yield `${path}?${[...names].map((name) => `${name}=a&${name}=b`).join('&')}`
  }
}

async function faultsOf(scene: Scene): Promise<readonly string[]> {
  const visitor = await signedIn(scene.opsUrl, OPS_TOKEN)
  const found = await explore(visitor)
  expect(found.paths.size).toBeGreaterThan(15)
  expect(found.forms.size).toBeGreaterThan(4)
  const faults: string[] = []
  const urls = [...new Set(oddUrls(found))]
  const ask = async (): Promise<void> => {
    for (let url = urls.pop(); url !== undefined; url = urls.pop()) {
      const { status } = await visitor.get(url)
      if (status >= 500) faults.push(`GET ${url.slice(0, 200)}: ${status}`)
    }
  }
  await Promise.all(Array.from({ length: 6 }, ask))
  for (const { action, fields } of found.forms.values()) {
    for (const field of fields.filter((name) => name !== 'csrf')) {
      for (const odd of ODD) {
        const { status } = await visitor.send(action, { [field]: odd })
        if (status >= 500) faults.push(`POST ${action} ${field}=${JSON.stringify(odd.slice(0, 40))}: ${status}`)
      }
    }
  }
  return faults
}

test.each(['SQLite', 'PostgreSQL'])(
  'no page and no form of the console fails for an odd request, with %s',
  async (store) => {
    const scene = await startScene(store === 'SQLite' ? {} : { DATABASE_URL: ownSchema() })
    scene.breakBilling()
    for (let number = 0; number < 4; number++) await scene.send('invoice.paid', { number, note: 'blue bicycle' })
    await scene.send('report.due')
    await scene.settled(4)
    await scene.post('/v1/tasks', { source: 'ai', task_id: 'task-1' })
    await scene.post('/v1/replays', { filter: { type: 'report.*' }, handler: 'crm-sync' })
    expect(await faultsOf(scene)).toEqual([])
    expect(scene.logs.filter(({ msg }) => msg === 'request failed')).toEqual([])
  },
)
