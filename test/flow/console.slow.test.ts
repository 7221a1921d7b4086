import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

const modules = {
  'talk.js': `
    import { execSync } from 'node:child_process'
    import { closeSync, writeSync } from 'node:fs'
    export default (router) => {
      console.log('loaded')
      router.on('talk.console', async () => {
        console.log('a number: %d', 7)
        await null
        console.error('two\\nlines')
      })
      router.on('talk.raw', () => {
        writeSync(2, 'past the console\\n')
        execSync('echo from a program >&2')
      })
      router.on('talk.flood', () => { for (let at = 0; at < 20000; at++) console.log(at) })
      router.on('talk.closed', (event, { log }) => {
        closeSync(1)
        process.stdout.destroy()
        console.log('to nobody')
        log.info('still logs')
      })
    }`,
}

test('a text that a handler writes to its console becomes a line of the log with the attempt that wrote it', async () => {
  const directory = temporaryDirectory()
  const service = await startService({ HANDLERS_DIR: handlersIn(directory, modules) }, directory)
  await service.logged(({ msg }) => msg === 'loaded')
  const { uid } = await post(service.publicUrl, signedEvent('talk.console'))
  const about = { handler: 'talk:talk.console', uid, source: 'ai', type: 'talk.console', attempt: 1 }
  expect(await service.logged(({ msg }) => msg === 'a number: 7')).toMatchObject({ level: 30, ...about })
  expect(await service.logged(({ msg }) => msg === 'two')).toMatchObject({ level: 40, ...about })
  expect(await service.logged(({ msg }) => msg === 'lines')).toMatchObject({ level: 40, ...about })
})

test('a text that a handler, or a program that it starts, writes past the console becomes a line of the log', async () => {
  const directory = temporaryDirectory()
  const service = await startService({ HANDLERS_DIR: handlersIn(directory, modules) }, directory)
  await post(service.publicUrl, signedEvent('talk.raw'))
  await service.logged(({ msg, handler_process }) => msg === 'past the console' && typeof handler_process === 'number')
  await service.logged(({ msg }) => msg === 'from a program')
})

test('the service cuts a handler’s flood of log lines short, logs that it did, and lets the handler go on', async () => {
  const directory = temporaryDirectory()
  const service = await startService({ HANDLERS_DIR: handlersIn(directory, modules) }, directory)
  await post(service.publicUrl, signedEvent('talk.flood'))
  await service.logged(({ msg }) => msg?.startsWith('log lines of handlers are dropped') ?? false)
  const { dropped } = await service.logged(({ msg }) => msg === 'log lines of handlers were dropped')
  expect(Number(dropped)).toBeGreaterThan(10_000)
  const answer = await fetch(`${service.opsUrl}/metrics`)
  expect(await answer.text()).toMatch(/holdfast_log_lines_dropped_total [1-9]/)
})

test('a handler that closes its own output disturbs no other handler, and its log goes on', async () => {
  const directory = temporaryDirectory()
  const service = await startService({ HANDLERS_DIR: handlersIn(directory, modules) }, directory)
  await post(service.publicUrl, signedEvent('talk.closed'))
  await service.logged(({ msg }) => msg === 'still logs')
  expect((await post(service.publicUrl, signedEvent('talk.closed'))).status).toBe(200)
})
