import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { startDev } from '../../src/app/dev.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

/** A folder of handlers for `holdfast dev`. */
function project() {
  const directory = temporaryDirectory()
  const edit = (text: string, file = 'it.js') => handlersIn(directory, { [file]: text })
  const environment = { LOG_FORMAT: 'json', HANDLER_PROCESSES: '1', HANDLERS_DIR: edit('export default () => {}') }
  return { directory, edit, environment }
}

/** Does what `holdfast dev` does, within this process. `told`: what it logs of its own. */
function startWithin(
  { directory, environment }: ReturnType<typeof project>,
  signal = new AbortController().signal,
  more: Readonly<Record<string, string>> = {},
) {
  const messages: string[] = []
  const write = (line: string): void => void messages.push(JSON.parse(line).msg)
  const log = { log: pino({ level: 'info' }, { write }), keepOut: () => {}, dropped: () => 0, flush: () => {} }
  const own = { HOST: '127.0.0.1', PORT: '0', OPS_PORT: '0', SHUTDOWN_GRACE_MS: '1000', LOG_LEVEL: 'silent' }
  const source = { SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET }
  const DATABASE_URL = `file:${join(directory, 'holdfast.db')}`
  const starting = startDev(readConfig({ ...environment, ...own, ...source, DATABASE_URL, ...more }), log, signal)
  onTestFinished(() =>
    starting.then(
      ({ stop }) => stop(),
      () => {},
    ),
  )
  const told = (wanted: RegExp) =>
    eventually(
      async () => messages.find((message) => wanted.test(message)),
      (message) => message !== undefined,
    )
  return { starting, told, messages }
}

const handler = (text: string, name = 'it') =>
  `export default (r) => r.on('*', { name: '${name}' }, (event, { log }) => log.info('${text}'))`

describe('holdfast dev', () => {
  test('that starts with a broken module says so, serves once the module is repaired, and leaves no process after a SIGTERM during a reload', async () => {
    const { edit, directory, environment } = project()
    const marker = join(directory, 'loaded')
    const writesMarker = `import { writeFileSync } from 'node:fs'
      writeFileSync(${JSON.stringify(marker)}, String(process.pid));`
    const pid = () => eventually(async () => (existsSync(marker) ? Number(readFileSync(marker, 'utf8')) : 0), Boolean)
    edit(`${writesMarker} throw new Error('broken')`)
    const starting = startService(environment, directory, [process.execPath], 'dev')
    const first = await pid()
    edit(handler('repaired'))
    const service = await starting
    const messages = service.logs.map(({ msg }) => msg)
    expect(messages).toContainEqual(expect.stringMatching(/it\.js:2:\d+.*broken/))
    expect(messages).toContain('not started: waiting for a change of a module')
    const serving = await service.logged(({ msg }) => msg === 'holdfast is serving')
    const sources = [`${service.publicUrl}/v1/webhooks/ai`]
    expect(serving).toMatchObject({ public: service.publicUrl, ops: service.opsUrl, sources, handlers: ['it'] })
    const { uid } = await post(service.publicUrl, signedEvent('acme.thing'))
    expect(await service.logged(({ msg }) => msg === 'repaired')).toMatchObject({ uid })

    edit(`${writesMarker} await new Promise(() => setInterval(() => {}, 1000))`)
    const last = await eventually(pid, (each) => each !== first)
    expect(await service.stop()).toBe(0)
    expect(() => process.kill(last, 0)).toThrow('ESRCH')
  })

  test('reloads when a module is edited or added, says where one is broken, and then goes on with the old handlers', async () => {
    const own = project()
    own.edit(handler('before'))
    const { starting, told } = startWithin(own)
    const { publicUrl, opsUrl, handlers } = await starting
    own.edit(handler('after', 'other'))
    await told(/^reloaded in \d+ ms: 1 handler \(\+other, -it\)$/)
    own.edit(`const fine = 1\nexport default ( => {}`, 'more.js')
    await told(/handlers\/more\.js:2:\d+: /)
    await told(/^not reloaded: the old handlers stay$/)
    expect(handlers()).toEqual(['other'])
    const { uid } = await post(publicUrl, signedEvent('acme.thing'))
    const event = (): Promise<unknown> => fetch(`${opsUrl}/v1/events/${uid}`).then((answer) => answer.json())
    await expect.poll(event).toMatchObject({ deliveries: [{ handler: 'other', state: 'succeeded' }] })
  })

  test('in a second terminal of the same folder ends, because no change of a module could help', async () => {
    const own = project()
    const { publicUrl } = await startWithin(own).starting
    await expect(startWithin(own).starting).rejects.toThrow('is in use by another process')
    const { port } = new URL(publicUrl)
    await expect(startWithin(project(), undefined, { PORT: port }).starting).rejects.toThrow(port)
  })

  test('tells a reload once, also if it is for several changes', async () => {
    const own = project()
    const { starting, messages } = startWithin(own)
    await starting
    // All but the first come while modules load.
    const slowly = 'await new Promise((resolve) => setTimeout(resolve, 500))\n'
    for (let n = 0; n < 4; n++) {
      own.edit(slowly + handler('many', `many${n}`))
      await new Promise((resolve) => setTimeout(resolve, 120))
    }
    const reloads = () => messages.filter((message) => message.startsWith('reloaded'))
    await expect.poll(() => reloads().at(-1)).toContain('+many3')
    expect(reloads()).toEqual([...new Set(reloads())])
  })

  test('ends at once on a signal while it waits for a module to be repaired', async () => {
    const own = project()
    own.edit('export default 3')
    const ending = new AbortController()
    const { starting, told } = startWithin(own, ending.signal)
    await told(/waiting for a change/)
    ending.abort()
    await expect(starting).rejects.toBe(ending.signal.reason)
  })

  test('with a broken configuration ends, and waits for no change', async () => {
    // With this role no handler is loaded.
    const { starting } = startWithin(project(), undefined, { ROLE: 'ingest', PORT: 'x' })
    await expect(starting).rejects.toThrow('PORT is x')
  })
})
