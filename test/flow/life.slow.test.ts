import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, mainFile, startService, temporaryDirectory } from '../support/service.ts'

const run = promisify(execFile)

/** Runs a command that is expected to end by itself. */
async function ended(args: readonly string[], environment: Record<string, string>, cwd = temporaryDirectory()) {
  try {
    const { stdout, stderr } = await run(process.execPath, [mainFile, ...args], {
      cwd,
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...environment },
    })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, stdout, stderr }
  }
}

describe('a start', () => {
  test('needs no configuration: the service makes a secret, stores it readable for the owner only, and uses it again', async () => {
    const directory = temporaryDirectory()
    const bare = { SOURCES: undefined, SOURCE_AI_SECRET: undefined, DATABASE_URL: undefined } as unknown as Record<
      string,
      string
    >
    const first = await startService(bare, directory)
    const file = join(directory, 'data', 'ai.secret')
    const secret = readFileSync(file, 'utf8')
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=\n$/)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.stringify(first.logs)).not.toContain(secret.trim())
    expect(await first.stop()).toBe(0)
    const second = await startService(bare, directory)
    expect(readFileSync(file, 'utf8')).toBe(secret)
    expect(await second.stop()).toBe(0)
  })

  test('with five faults in the configuration names all five and exits with 78', async () => {
    const directory = temporaryDirectory()
    const handlers = handlersIn(directory, { 'broken.js': 'export default 7' })
    const environment = {
      PORT: 'eighty',
      SOURCES: 'ai,shop,acme',
      SOURCE_AI_SECRET: 'whsec_c2hvcnQ=',
      SOURCE_SHOP_PROVIDER: 'stripe',
      SOURCE_ACME_SECRET: 'a-secret-that-is-long-enough',
      HANDLERS_DIR: handlers,
      DATABASE_URL: `file:${directory}/holdfast.db`,
    }
    for (const command of ['serve', 'check']) {
      const { code, stderr } = await ended([command], environment, directory)
      expect(code).toBe(78)
      expect(stderr).toContain('PORT is eighty')
      expect(stderr).toMatch(/SOURCE_AI_SECRET: .*24 bytes/)
      expect(stderr).toContain('SOURCE_SHOP_SECRET is not set')
      expect(stderr).toContain('SOURCE_ACME_PROVIDER: there is no provider acme')
      expect(stderr).toContain('handler module handlers/broken.js:1:1: it does not default-export a function')
      expect(stderr).toMatch(/5 configuration faults/)
      expect(stderr).not.toContain('c2hvcnQ')
    }
  })

  test.each([
    ['throws', 'throw new Error("at the top")', 'at the top'],
    ['ends its thread', 'process.exit(4)', 'exited with code 4'],
    ['is no JavaScript', 'export default (', 'broken.js'],
  ])('is refused, naming the file, when a handler module %s', async (_, text, message) => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'broken.js'), text)
    const { code, stderr } = await ended(['check'], { SOURCE_AI_SECRET: AI_SECRET, HANDLERS_DIR: directory })
    expect(code).toBe(78)
    expect(stderr).toContain(join(directory, 'broken.js'))
    expect(stderr).toContain(message)
  })

  test('is refused, as by the check command, when DATABASE_URL names a store that does not exist', async () => {
    const { code, stderr } = await ended(['check'], {
      SOURCE_AI_SECRET: AI_SECRET,
      DATABASE_URL: 'mysql://u:hunter2@h/d',
    })
    expect(code).toBe(78)
    expect(stderr).toContain('DATABASE_URL must be file:')
    expect(stderr).not.toContain('hunter2')
  })

  test('is refused, naming both addresses, when neither of them can be listened on', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const { code, stderr } = await ended(['serve'], {
      SOURCE_AI_SECRET: AI_SECRET,
      HOST: 'nowhere.invalid',
      OPS_PORT: String(port),
    })
    taken.close()
    expect(code).toBe(78)
    expect(stderr).toContain(`OPS_HOST, OPS_PORT: cannot listen on 127.0.0.1, port ${port}: EADDRINUSE`)
    expect(stderr).toMatch(/HOST, PORT: cannot listen on nowhere\.invalid, port 8080: E/)
  })

  test('is refused, by every command, where .env cannot be read', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, '.env'))
    for (const args of [['serve'], ['check'], ['events', 'list']]) {
      const { code, stderr } = await ended(args, {}, directory)
      expect(stderr).toContain('.env cannot be read: EISDIR')
      expect(code).not.toBe(0)
    }
  })

  test('is refused while another process has the store open', async () => {
    const service = await startService()
    const { code, stderr } = await ended(['serve'], {
      PORT: '0',
      OPS_PORT: '0',
      SOURCE_AI_SECRET: AI_SECRET,
      DATABASE_URL: `file:${join(service.directory, 'data/holdfast.db')}`,
    })
    expect(code).toBe(78)
    expect(stderr).toContain('another')
    expect((await post(service.publicUrl, signedEvent('acme.thing'))).status).toBe(200)
  })
})

describe('SIGTERM', () => {
  const graceMs = 2_000

  test('during the start lets the start finish, stops the service in order, and exits with 0', async () => {
    const directory = temporaryDirectory()
    const handlers = handlersIn(directory, {
      'late.mjs': `import { writeFileSync } from 'node:fs'
      writeFileSync(${JSON.stringify(join(directory, 'loading'))}, '')
      await new Promise((resolve) => setTimeout(resolve, 300))
      export default () => {}`,
    })
    const child = spawn(process.execPath, [mainFile, 'serve'], {
      cwd: directory,
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        PORT: '0',
        OPS_PORT: '0',
        HANDLERS_DIR: handlers,
      },
      stdio: 'ignore',
    })
    const exited = once(child, 'exit')
    await eventually(async () => existsSync(join(directory, 'loading')), Boolean)
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })

  test('during a start that waits for its database ends the start, and exits with 0', async () => {
    const child = spawn(process.execPath, [mainFile, 'serve'], {
      cwd: temporaryDirectory(),
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        PORT: '0',
        OPS_PORT: '0',
        SOURCE_AI_SECRET: AI_SECRET,
        DATABASE_URL: 'postgres://holdfast:s3cret@127.0.0.1:9/holdfast',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const exited = once(child, 'exit')
    let logs = ''
    child.stdout?.on('data', (chunk) => {
      logs += String(chunk)
    })
    await eventually(
      async () => logs,
      (text) => text.includes('waiting for PostgreSQL'),
    )
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    expect(logs).not.toContain('s3cret')
  })

  test('lets a running handler finish, and exits with 0', async () => {
    const directory = temporaryDirectory()
    const handlers = handlersIn(directory, {
      'slow.js': `export default (router) => router.on('slow', async (event, { log }) => {
        log.info('begun'); await new Promise((resolve) => setTimeout(resolve, 400)); log.info('done') })`,
    })
    const service = await startService({ HANDLERS_DIR: handlers, SHUTDOWN_GRACE_MS: String(graceMs) }, directory)
    await post(service.publicUrl, signedEvent('slow'))
    await service.logged(({ msg }) => msg === 'begun')
    expect(await service.stop()).toBe(0)
    expect(service.logs.some(({ msg }) => msg === 'done')).toBe(true)
  })

  test('ends the service with exit code 0 within the grace period, whatever hangs: a half-sent body, a stuck handler, a handler that ignores its signal', async () => {
    const directory = temporaryDirectory()
    const handlers = handlersIn(directory, {
      'stuck.js': `export default (router) => {
        router.on('stuck.loop', (event, { log }) => { log.info('looping'); setTimeout(() => { for (;;); }, 200); return new Promise(() => {}) })
        router.on('stuck.deaf', (event, { log }) => { log.info('deaf'); return new Promise(() => {}) })
      }`,
    })
    const service = await startService(
      { HANDLERS_DIR: handlers, SHUTDOWN_GRACE_MS: String(graceMs), HANDLER_PROCESSES: '2' },
      directory,
    )
    const { uid } = await post(service.publicUrl, signedEvent('stuck.deaf'))
    await service.logged(({ msg }) => msg === 'deaf')
    await post(service.publicUrl, signedEvent('stuck.loop'))
    await service.logged(({ msg }) => msg === 'looping')
    const { hostname, port } = new URL(service.publicUrl)
    const half = connect(Number(port), hostname)
    half.on('error', () => {})
    half.write(
      'POST /v1/webhooks/ai HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"half":',
    )

    const startedAt = performance.now()
    expect(await service.stop()).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(graceMs)
    half.destroy()

    writeFileSync(
      join(handlers, 'stuck.js'),
      `export default (router) => router.on('stuck.*', { name: 'stuck:stuck.deaf' }, (event, { attempt, log }) => log.info({ attempt }, 'recovered'))`,
    )
    const again = await startService({ HANDLERS_DIR: handlers }, directory)
    const line = await again.logged(({ msg, uid: of }) => msg === 'recovered' && of === uid)
    expect(line.attempt).toBe(1)
  })

  test('makes the service report that it is not ready while it still takes requests until it closes', async () => {
    const service = await startService({ SHUTDOWN_GRACE_MS: '5000' })
    const ready = async () => (await fetch(`${service.publicUrl}/readyz`)).status
    expect(await ready()).toBe(200)
    const stopped = service.stop()
    await service.logged(({ msg }) => msg === 'shutting down')
    expect(await ready()).toBe(503)
    expect((await post(service.publicUrl, signedEvent('acme.late'))).status).toBe(200)
    expect(await stopped).toBe(0)
  })
})
