import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

/** A service with one handler module, whose handlers write lines into a file and wait for files. */
async function start(module: string, environment: Record<string, string> = {}) {
  const directory = temporaryDirectory()
  const file = join(directory, 'lines')
  const edit = (text: string): string => handlersIn(directory, { 'it.js': `${prelude(directory)}\n${text}` })
  const service = await startLocal({ HANDLERS_DIR: edit(module), ...environment })
  const lines = async (): Promise<readonly string[]> =>
    existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
  return {
    ...service,
    edit,
    lines,
    /** Resolves with the lines once there are so many. */
    written: (count: number) => eventually(lines, ({ length }) => length >= count),
    /** Lets the handlers that wait for this name go on. */
    allow: (name: string) => writeFileSync(join(directory, name), ''),
    send: (data: Record<string, unknown> = {}) => post(service.publicUrl, signedEvent('acme.thing', data)),
    handlers: async () =>
      (await service.api('/v1/handlers')).items.map(({ name }: { name: string }) => name).toSorted(),
  }
}

const prelude = (directory: string) => `
  import { appendFileSync, existsSync } from 'node:fs'
  const write = (line) => appendFileSync(${JSON.stringify(join(directory, 'lines'))}, line + '\\n')
  const until = async (name) => {
    while (!existsSync(${JSON.stringify(directory)} + '/' + name)) await new Promise((r) => setTimeout(r, 5))
  }`
const writes = (line: string, name = 'it') =>
  `export default (r) => r.on('acme.thing', { name: '${name}' }, () => write('${line}'))`

describe('a reload', () => {
  test('replaces the handlers by those of the edited modules, and says which are new and which are gone', async () => {
    const service = await start(writes('before', 'old'))
    await service.send()
    expect(await service.written(1)).toEqual(['before'])
    service.edit(writes('after', 'new'))
    expect(await service.reload()).toMatchObject({ ok: true, handlers: 1, added: ['new'], removed: ['old'] })
    await service.send()
    expect(await service.written(2)).toEqual(['before', 'after'])
    expect(await service.handlers()).toEqual(['new'])
  })

  test('that finds faults names them all, and changes nothing', async () => {
    const service = await start(writes('before'))
    service.edit('export default 3')
    const result = await service.reload()
    expect(result).toMatchObject({ ok: false, faults: [expect.stringMatching(/it\.js.*does not default-export/)] })
    await service.send()
    expect(await service.written(1)).toEqual(['before'])
    service.edit(writes('repaired'))
    expect(await service.reload()).toMatchObject({ ok: true, added: [], removed: [] })
    await service.send()
    expect(await service.written(2)).toEqual(['before', 'repaired'])
  })

  test('lets a running handler finish: its attempt counts once, and the new handlers run meanwhile', async () => {
    const waits = `export default (r) => r.on('acme.thing', { name: 'it' }, async () => {
      write('begins'); await until('go'); write('ends') })`
    const service = await start(waits)
    const { uid } = await service.send()
    await service.written(1)
    service.edit(writes('new'))
    expect(await service.reload()).toMatchObject({ ok: true })
    await service.send()
    expect(await service.written(2)).toEqual(['begins', 'new'])
    service.allow('go')
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${uid}`),
      ({ deliveries: [delivery] }) => delivery.state === 'succeeded',
    )
    expect(deliveries).toMatchObject([{ attempts: 1, history: [{ outcome: 'succeeded' }] }])
    expect(await service.lines()).toEqual(['begins', 'new', 'ends'])
  })

  test('keeps the limit of a handler with concurrency 1: the new one starts when the old one has ended', async () => {
    const one = (
      name: string,
    ) => `export default (r) => r.on('acme.thing', { name: 'one', concurrency: 1 }, async () => {
      write('${name} begins'); await until('${name}'); write('${name} ends') })`
    const service = await start(one('old'))
    await service.send()
    await service.written(1)
    service.edit(
      `${one('new').replace('export default', 'const it =')}
       export default (r) => { it(r); r.on('acme.thing', { name: 'free' }, () => write('free')) }`,
    )
    expect(await service.reload()).toMatchObject({ ok: true, added: ['free'] })
    await service.send()
    expect(await service.written(2)).toEqual(['old begins', 'free'])
    service.allow('old')
    expect(await service.written(4)).toEqual(['old begins', 'free', 'old ends', 'new begins'])
    service.allow('new')
    await service.written(5)
  })

  test('aborts handlers from five reloads ago, whose deliveries run again and do not count that attempt', async () => {
    const waits = (version: number) => `export default (r) => r.on('acme.thing', { name: 'it' }, async (event) => {
      write('${version} ' + event.uid); await until('go') })`
    const service = await start(waits(0))
    const { uid } = await service.send()
    await service.written(1)
    for (let version = 1; version <= 5; version++) {
      service.edit(waits(version))
      expect(await service.reload()).toMatchObject({ ok: true })
      if (version === 5) break
      await service.send()
      await service.written(version + 1)
    }
    expect((await service.written(6)).at(-1)).toBe(`5 ${uid}`)
    service.allow('go')
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${uid}`),
      ({ deliveries: [delivery] }) => delivery.state === 'succeeded',
    )
    expect(deliveries).toMatchObject([{ attempts: 1 }])
  })

  test('takes over the retry of an attempt that fails after it, when that is due', async () => {
    const fails = `export default (r) => r.on('acme.thing', { name: 'it' }, async () => {
      write('begins'); await until('go'); throw new Error('not yet') })`
    const service = await start(fails, { RETRY_BASE_MS: '50', RETRY_CAP_MS: '50' })
    const { uid } = await service.send()
    await service.written(1)
    service.edit(writes('again'))
    await service.reload()
    const startedMs = performance.now()
    service.allow('go')
    expect(await service.written(2)).toEqual(['begins', 'again'])
    // Without the take-over, the new dispatcher would look for the delivery after ten seconds.
    expect(performance.now() - startedMs).toBeLessThan(8_000)
    expect((await service.api(`/v1/events/${uid}`)).deliveries).toMatchObject([{ attempts: 2 }])
  })

  test('that is asked for repeatedly runs once more, and the last edit is live', async () => {
    const service = await start(writes('0'))
    const results = ['1', '2', '3'].map((line) => {
      service.edit(writes(line, line))
      return service.reload()
    })
    expect(await Promise.all(results)).toMatchObject([{ ok: true }, { ok: true }, { ok: true }])
    expect(await service.handlers()).toEqual(['3'])
    const late = service.reload()
    service.edit(writes('4', '4'))
    expect(await Promise.all([late, service.reload(), service.reload()])).toMatchObject([{ ok: true }, {}, {}])
    expect(await service.handlers()).toEqual(['4'])
  })

  test('does not wait for a module that never loads once it has been repaired', async () => {
    const service = await start(writes('before'))
    service.edit(`write('loading'); await new Promise(() => setInterval(() => {}, 1000))`)
    const hanging = service.reload()
    await service.written(1)
    service.edit(writes('after'))
    const startedMs = performance.now()
    expect(await Promise.all([service.reload(), hanging])).toMatchObject([{ ok: true }, { ok: true }])
    // A module may take ten seconds to load.
    expect(performance.now() - startedMs).toBeLessThan(8_000)
    await service.send()
    expect(await service.written(2)).toEqual(['loading', 'after'])
  })

  test('keeps the counters, and the callers that wait for a task', async () => {
    const service = await start(writes('it'))
    await service.send()
    const { body } = await service.post('/v1/tasks', { source: 'ai', task_id: 'task_1', deadline_ms: 60_000 })
    const { uid } = body as { uid: string }
    const waiting = service.api(`/v1/tasks/ai/${uid}?wait=30`)
    service.edit(writes('more', 'more'))
    expect(await service.reload()).toMatchObject({ ok: true })
    await service.api(`/v1/tasks/ai/${uid}`, { method: 'DELETE' })
    expect(await waiting).toMatchObject({ uid, status: 'cancelled' })
    await service.send()
    const summary = await service.api('/metrics', { headers: { accept: 'application/json' } })
    expect(summary).toMatchObject({ events_received: 2, registered_handlers: ['more'] })
  })

  test('reads events by the edited provider modules, also those whose bodies are still on their way', async () => {
    const directory = temporaryDirectory()
    const provider = (type: string) =>
      writeFileSync(
        join(directory, 'forms.js'),
        `export default { name: 'forms', verify: { scheme: 'shared-secret', from: { header: 'x-secret' } },
           event: ({ body }) => ({ id: body.id, type: body.${type}, data: body }) }`,
      )
    provider('kind')
    const SOURCE = { SOURCES: 'forms', SOURCE_FORMS_SECRET: 'a-secret-of-forms' }
    const service = await startLocal({ PROVIDERS_DIR: directory, ...SOURCE })
    const { hostname, port } = new URL(service.publicUrl)
    /** Sends an event in two halves; gives its type. */
    const typeOf = async (id: string, between: () => Promise<void>): Promise<string> => {
      const body = JSON.stringify({ id, kind: 'by.kind', name: 'by.name' })
      const headers = { 'content-type': 'application/json', 'x-secret': 'a-secret-of-forms' }
      const sending = request({ hostname, port, method: 'POST', path: '/v1/webhooks/forms', headers })
      const answered = once(sending, 'response')
      sending.write(body.slice(0, 10))
      await between()
      sending.end(body.slice(10))
      const [answer] = (await answered) as [IncomingMessage]
      const { uid } = JSON.parse((await answer.toArray()).join('')) as { uid: string }
      return (await service.api(`/v1/events/${uid}`)).type
    }
    expect(await typeOf('1', async () => {})).toBe('by.kind')
    const edit = async (): Promise<void> => {
      provider('name')
      expect(await service.reload()).toMatchObject({ ok: true })
    }
    expect(await typeOf('2', edit)).toBe('by.name')
  })
})

test('a replica routes to the handlers that another one has loaded again, and no longer to those that are gone', async () => {
  const DATABASE_URL = ownSchema()
  const reloaded = await start(writes('before', 'old'), { DATABASE_URL, ROLE: 'worker' })
  const ingest = await startLocal({ DATABASE_URL, ROLE: 'ingest' })
  await post(ingest.publicUrl, signedEvent('acme.thing'))
  await reloaded.written(1)
  reloaded.edit(writes('after', 'new'))
  expect(await reloaded.reload()).toMatchObject({ ok: true, added: ['new'], removed: ['old'] })
  await eventually(
    () => ingest.api('/v1/handlers'),
    ({ items }) => items.map(({ name }: { name: string }) => name).join() === 'new',
  )
  const { uid } = await post(ingest.publicUrl, signedEvent('acme.thing'))
  expect(await reloaded.written(2)).toEqual(['before', 'after'])
  expect((await ingest.api(`/v1/events/${uid}`)).deliveries).toMatchObject([{ handler: 'new' }])
})

describe('a service that stops', () => {
  test('breaks off a reload, and ends what the reload has started', async () => {
    const service = await start(writes('before'))
    service.edit(`write(String(process.pid)); await new Promise(() => setInterval(() => {}, 1000))`)
    const hanging = service.reload()
    const [pid] = await service.written(1)
    await service.stop()
    expect(await hanging).toMatchObject({ ok: false })
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
  })

  test('ends the handlers that still run from before a reload, and their deliveries run again', async () => {
    const waits = `export default (r) => r.on('acme.thing', { name: 'it' }, async () => {
      write(String(process.pid)); await until('never') })`
    const service = await start(waits)
    const { uid } = await service.send()
    const [pid] = await service.written(1)
    service.edit(writes('again'))
    await service.reload()
    await service.stop()
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
    expect(service.logs.filter(({ msg }) => msg === 'attempt released')).toMatchObject([{ uid }])
  })
})
