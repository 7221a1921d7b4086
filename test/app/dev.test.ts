import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, mainFile, type Service, startService, temporaryDirectory } from '../support/service.ts'

/** A folder of handlers for `holdfast dev`. */
function project() {
  const directory = temporaryDirectory()
  const edit = (text: string, file = 'it.js') => handlersIn(directory, { [file]: text })
  const environment = { LOG_FORMAT: 'json', HANDLER_PROCESSES: '1', HANDLERS_DIR: edit('export default () => {}') }
  const dev = (): Promise<Service> => startService(environment, directory, [process.execPath], 'dev')
  return { directory, edit, dev, environment }
}

const handler = (text: string, name = 'it') =>
  `export default (r) => r.on('*', { name: '${name}' }, (event, { log }) => log.info('${text}'))`

describe('holdfast dev', () => {
  test('says what it serves, and reloads when a module is edited, added or removed', async () => {
    const { edit, dev } = project()
    edit(handler('before'))
    const service = await dev()
    const serving = await service.logged(({ msg }) => msg === 'holdfast is serving')
    const sources = [`${service.publicUrl}/v1/webhooks/ai`]
    expect(serving).toMatchObject({ public: service.publicUrl, ops: service.opsUrl, sources, handlers: ['it'] })

    edit(handler('after', 'other'))
    await service.logged(({ msg }) => /^reloaded in \d+ ms: 1 handler \(\+other, -it\)$/.test(String(msg)))
    const { uid } = await post(service.publicUrl, signedEvent('acme.thing'))
    expect(await service.logged(({ msg }) => msg === 'after')).toMatchObject({ uid })
    edit(handler('more', 'more'), 'more.js')
    await service.logged(({ msg }) => /^reloaded in \d+ ms: 2 handlers \(\+more\)$/.test(String(msg)))
    expect(await service.stop()).toBe(0)
  })

  test('says where a module is broken, and goes on with the old handlers', async () => {
    const { edit, dev } = project()
    edit(handler('old'))
    const service = await dev()
    edit(`const fine = 1\nexport default ( => {}`)
    const { msg } = await service.logged(({ level }) => level === 50)
    expect(msg).toMatch(/handlers\/it\.js:2:\d+: /)
    await service.logged((line) => line.msg === 'not reloaded: the old handlers stay')
    await post(service.publicUrl, signedEvent('acme.thing'))
    await service.logged((line) => line.msg === 'old')
  })

  test('that starts with a broken module says so, and starts once the module is repaired', async () => {
    const { edit, dev, directory } = project()
    const marker = join(directory, 'loaded')
    edit(
      `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(marker)}, ''); throw new Error('broken')`,
    )
    const starting = dev()
    await eventually(async () => existsSync(marker), Boolean)
    edit(handler('repaired'))
    const { logs } = await starting
    expect(logs.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/it\.js:1:\d+.*broken/))
    expect(logs.map(({ msg }) => msg)).toContain('not started: waiting for a change of a module')
  })

  test('with a broken configuration ends with exit code 78', async () => {
    const { directory, environment } = project()
    const child = spawn(process.execPath, [mainFile, 'dev'], { cwd: directory, env: { ...environment, PORT: 'x' } })
    onTestFinished(() => void child.kill('SIGKILL'))
    expect(await once(child, 'exit')).toEqual([78, null])
  })

  test('ends at once on a signal while it waits for a module to be repaired', async () => {
    const { edit, directory, environment } = project()
    edit('export default 3')
    const child = spawn(process.execPath, [mainFile, 'dev'], {
      cwd: directory,
      env: { ...environment, PORT: '0', OPS_PORT: '0', SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const lines = createInterface(child.stdout)
    await once(
      lines.on('line', (line) => line.includes('waiting for a change') && lines.emit('waits')),
      'waits',
    )
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('that gets SIGTERM during a reload ends with exit code 0, and leaves no process', async () => {
    const { edit, dev, directory } = project()
    const service = await dev()
    const marker = join(directory, 'pid')
    edit(`import { writeFileSync } from 'node:fs'
      writeFileSync(${JSON.stringify(marker)}, String(process.pid))
      await new Promise(() => setInterval(() => {}, 1000))`)
    const pid = await eventually(async () => (existsSync(marker) ? Number(readFileSync(marker, 'utf8')) : 0), Boolean)
    expect(await service.stop()).toBe(0)
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })
})
