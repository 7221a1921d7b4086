import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/service.ts'
import { startProject, writes } from './reload-project.ts'

const BEFORE = `export default (r) => {
  r.on('acme.thing', { name: 'old' }, () => write('thing before'))
  r.on('acme.long', { name: 'long' }, async () => { write('long begins'); await until('long'); write('long ends') })
  r.on('acme.one', { name: 'one', concurrency: 1 }, async () => {
    write('one begins'); await until('one'); write('one ends') })
  r.on('acme.fails', { name: 'fails' }, async () => {
    write('fails begins'); await until('fails'); throw new Error('not yet') })
  r.on('acme.endless', { name: 'endless' }, async () => { write('endless ' + process.pid); await until('the end') })
}`
const AFTER = `export default (r) => {
  r.on('acme.thing', { name: 'new' }, () => write('thing after'))
  r.on('acme.long', { name: 'long' }, () => write('long new'))
  r.on('acme.one', { name: 'one', concurrency: 1 }, () => write('one new'))
  r.on('acme.one', { name: 'beside' }, () => write('beside'))
  r.on('acme.fails', { name: 'fails' }, () => write('fails again'))
  r.on('acme.endless', { name: 'endless' }, () => write('endless new'))
}`
/** Begins to load, and never ends. */
const HANGING = `write('loading ' + process.pid); await new Promise(() => setInterval(() => {}, 1000))`

/** A provider that takes this member of a body as the type. */
const provider = (type: string) =>
  `export default { name: 'forms', verify: { scheme: 'shared-secret', from: { header: 'x-secret' } },
     event: ({ body }) => ({ id: body.id, type: body.${type}, data: body }) }`

/** Sends an event in two halves: the second half with `end`, which gives the type of the event. */
function sendHalf(service: { readonly publicUrl: string; readonly api: (path: string) => Promise<{ type: string }> }) {
  const { hostname, port } = new URL(service.publicUrl)
  const body = JSON.stringify({ id: '1', kind: 'by.kind', name: 'by.name' })
  const headers = { 'content-type': 'application/json', 'x-secret': 'a-secret-of-forms' }
  const sending = request({ hostname, port, method: 'POST', path: '/v1/webhooks/forms', headers })
  const answered = once(sending, 'response')
  sending.write(body.slice(0, 10))
  return async (): Promise<string> => {
    sending.end(body.slice(10))
    const [answer] = (await answered) as [IncomingMessage]
    const { uid } = JSON.parse((await answer.toArray()).join('')) as { uid: string }
    return (await service.api(`/v1/events/${uid}`)).type
  }
}

/** Everything that is under way when the modules are loaded again. */
async function reloadDuringWork() {
  const directory = temporaryDirectory(afterAll)
  writeFileSync(join(directory, 'forms.js'), provider('kind'))
  const service = await startProject(
    directory,
    BEFORE,
    {
      SOURCES: 'ai,forms',
      SOURCE_FORMS_SECRET: 'a-secret-of-forms',
      PROVIDERS_DIR: directory,
      RETRY_BASE_MS: '50',
      RETRY_CAP_MS: '50',
    },
    { onEnd: afterAll },
  )
  const summary = () => service.api('/metrics', { headers: { accept: 'application/json' } })
  const uids: Record<string, string> = {}
  for (const name of ['thing', 'long', 'one', 'fails', 'endless'])
    uids[name] = (await service.send({}, `acme.${name}`)).uid
  await service.written(5)
  const { body } = await service.post('/v1/tasks', { source: 'ai', task_id: 'task_1', deadline_ms: 60_000 })
  const { uid: task } = body as { uid: string }
  const waiting: Promise<unknown> = service.api(`/v1/tasks/ai/${task}?wait=30`)
  const end = sendHalf(service)
  const before = await summary()
  service.edit(AFTER)
  writeFileSync(join(directory, 'forms.js'), provider('name'))
  const result = await service.reload()
  return { ...service, result, uids, task, waiting, end, summaries: [before, await summary()] as const }
}

describe('a reload', () => {
  let service: Awaited<ReturnType<typeof reloadDuringWork>>
  beforeAll(async () => {
    service = await reloadDuringWork()
  })

  const deliveriesOf = async (uid = '', state = 'succeeded') => {
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${uid}`),
      ({ deliveries: [delivery] }) => delivery.state === state,
    )
    return deliveries
  }

  test('replaces the handlers by those of the edited modules, and says which are new and which are gone', async () => {
    expect(service.result).toMatchObject({
      ok: true,
      handlers: 6,
      changes: { handlers: { added: ['new', 'beside'], removed: ['old'] } },
    })
    await service.send()
    expect(await service.written(2, 'thing')).toEqual(['thing before', 'thing after'])
    expect(await service.handlers()).toEqual(['beside', 'endless', 'fails', 'long', 'new', 'one'])
  })

  test('lets a running handler finish: its attempt counts once, and the new handlers run meanwhile', async () => {
    await service.send({}, 'acme.long')
    expect(await service.written(2, 'long')).toEqual(['long begins', 'long new'])
    service.allow('long')
    expect(await deliveriesOf(service.uids.long)).toMatchObject([{ attempts: 1, history: [{ outcome: 'succeeded' }] }])
    expect(await service.lines('long')).toEqual(['long begins', 'long new', 'long ends'])
  })

  test('keeps the limit of a handler with concurrency 1: the new one starts when the old one has ended', async () => {
    await service.send({}, 'acme.one')
    await service.written(1, 'beside')
    expect(await service.lines('one')).toEqual(['one begins'])
    service.allow('one')
    expect(await service.written(3, 'one')).toEqual(['one begins', 'one ends', 'one new'])
  })

  test('takes over the retry of an attempt that fails after it, when that is due', async () => {
    const startedMs = performance.now()
    service.allow('fails')
    expect(await service.written(2, 'fails')).toEqual(['fails begins', 'fails again'])
    // Without the take-over, the new dispatcher would look for the delivery after ten seconds.
    expect(performance.now() - startedMs).toBeLessThan(8_000)
    expect(await deliveriesOf(service.uids.fails)).toMatchObject([{ attempts: 2 }])
  })

  test('keeps the counters, and the callers that wait for a task', async () => {
    const [before, after] = service.summaries
    expect(before.events_received).toBe(5)
    expect(after.events_received).toBe(5)
    expect(after.registered_handlers).toContain('new')
    await service.api(`/v1/tasks/ai/${service.task}`, { method: 'DELETE' })
    expect(await service.waiting).toMatchObject({ uid: service.task, status: 'cancelled' })
  })

  test('reads events by the edited provider modules, also those whose bodies are still on their way', async () => {
    expect(await service.end()).toBe('by.name')
  })

  test('that finds faults names them all, and changes nothing', async () => {
    const before = await service.handlers()
    service.edit('export default 3')
    const result = await service.reload()
    expect(result).toMatchObject({ ok: false, faults: [expect.stringMatching(/it\.js.*does not default-export/)] })
    expect(await service.handlers()).toEqual(before)
    const count = (await service.lines('thing')).length
    await service.send()
    expect((await service.written(count + 1, 'thing')).at(-1)).toBe('thing after')
  })

  test('does not wait for a module that never loads once it has been repaired, and all that are asked for meanwhile are one', async () => {
    service.edit(HANGING)
    const hanging = service.reload()
    await service.written(1, 'loading')
    service.edit(`write('loaded')\n${writes('repaired', 'repaired')}`)
    const startedMs = performance.now()
    const results = await Promise.all([service.reload(), service.reload(), hanging])
    expect(results).toMatchObject([{ ok: true }, { ok: true }, { ok: true }])
    // A module may take ten seconds to load.
    expect(performance.now() - startedMs).toBeLessThan(8_000)
    expect(new Set(results).size).toBe(1)
    await service.send()
    await service.written(1, 'repaired')
  })

  test('is broken off by the stop of the service, which ends what was started for it and the handlers from before a reload', async () => {
    const count = (await service.lines('loading')).length
    service.edit(HANGING)
    const hanging = service.reload()
    const loading = (await service.written(count + 1, 'loading')).at(-1)
    const [endless] = await service.lines('endless')
    await service.stop()
    expect(await hanging).toMatchObject({ ok: false })
    for (const line of [loading, endless])
      expect(() => process.kill(Number(line?.split(' ')[1]), 0), line).toThrow('ESRCH')
    const released = service.logs.filter(({ msg }) => msg === 'attempt released')
    expect(released).toMatchObject([{ uid: service.uids.endless }])
  })
})
