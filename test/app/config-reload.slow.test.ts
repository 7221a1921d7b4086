import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { newStandardSecret } from '../../src/signatures/standard-webhooks.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { mainFile, type Service, startService, temporaryDirectory } from '../support/service.ts'

const RELOADS = 100
const SENDERS = 4
/** Every so many reloads one is tried with faults. */
const FAULTY_EVERY = 5

/** Sends to a source without a pause, by the secret of the moment; `settled` waits for what was sent by an older one. */
class Load {
  secret: string
  readonly uids: string[] = []
  readonly refused: string[] = []
  readonly #url: string
  #isEnded = false
  #running: readonly Promise<void>[]
  readonly #open = new Set<Promise<void>>()

  constructor(url: string, secret: string) {
    this.#url = url
    this.secret = secret
    this.#running = Array.from({ length: SENDERS }, () => this.#loop())
  }

  settled = (): Promise<unknown> => Promise.all(this.#open)

  async end(): Promise<void> {
    this.#isEnded = true
    await Promise.all(this.#running)
  }

  async #loop(): Promise<void> {
    while (!this.#isEnded) {
      const sent = this.#send()
      this.#open.add(sent)
      await sent
      this.#open.delete(sent)
    }
  }

  async #send(): Promise<void> {
    const { body } = signedEvent('completion.started', { completion_id: 'c1' })
    try {
      const answer = await fetch(this.#url, { method: 'POST', body, headers: signedHeaders(body, this.secret) })
      const text = await answer.text()
      if (answer.status === 200) this.uids.push(JSON.parse(text).uid)
      else this.refused.push(`${answer.status} ${text}`)
    } catch (error) {
      this.refused.push(String(error))
    }
  }
}

async function storedUids(service: Service): Promise<ReadonlySet<string>> {
  const uids = new Set<string>()
  for (let cursor = ''; ; ) {
    const page = await service.api(`/v1/events?limit=200${cursor}`)
    for (const { uid } of page.items) uids.add(uid)
    if (page.next_cursor === null) return uids
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`
  }
}

test('a hundred reloads under load, by request, by SIGHUP and by a changed secret file, lose no request, and those with faults are refused with every fault named', {
  timeout: 600_000,
}, async () => {
  const directory = temporaryDirectory()
  const secretFile = join(directory, 'ai.txt')
  const writeSecrets = (secrets: readonly string[]): void => writeFileSync(secretFile, `${secrets.join(',')}\n`)
  const dotenv = (more: Readonly<Record<string, string>>): void => {
    const all = { SOURCE_AI_SECRET_FILE: secretFile, ...more }
    writeFileSync(
      join(directory, '.env'),
      Object.entries(all)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
  }
  writeSecrets([AI_SECRET])
  dotenv({ SOURCES: 'ai' })
  const unset = { SOURCES: undefined, SOURCE_AI_SECRET: undefined } as unknown as Record<string, string>
  const service = await startService({ ...unset, HANDLER_PROCESSES: '1' }, directory)
  const ai = new Load(`${service.publicUrl}/v1/webhooks/ai`, AI_SECRET)
  const others: Load[] = []
  let reloads = 0
  const reloaded = async (ask: () => unknown): Promise<void> => {
    const before = service.logs.length
    await ask()
    await service.logged((line) => service.logs.indexOf(line) >= before && line.msg === 'configuration reloaded')
    reloads++
  }
  const request = (): Promise<unknown> => service.api('/v1/reload', { method: 'POST' })
  const refused: string[] = []
  let other: Load | undefined
  let secrets = [AI_SECRET]

  for (let turn = 0; reloads < RELOADS; turn++) {
    await ai.settled()
    secrets = [newStandardSecret(), secrets[0] ?? '']
    const hasOther = turn % 6 >= 3
    if (!hasOther) await other?.end()
    const more = {
      SOURCES: hasOther ? 'ai,other' : 'ai',
      SOURCE_AI_TYPES: turn % 2 === 0 ? '*' : 'completion.*,task.*',
      ...(hasOther && { SOURCE_OTHER_PROVIDER: 'ai', SOURCE_OTHER_SECRET: AI_SECRET }),
      RETENTION_DAYS: String(30 + turn),
    }
    if (turn % FAULTY_EVERY === FAULTY_EVERY - 1) {
      dotenv({ SOURCES: 'ai,ghost', SOURCE_GHOST_PROVIDER: 'none', RETRY_BASE_MS: 'soon', BODY_LIMIT_BYTES: '-1' })
      await request().catch((error: Error) => refused.push(error.message))
    }
    if (turn % 3 === 2) {
      writeSecrets(secrets)
      dotenv(more)
      await reloaded(() => service.child.kill('SIGHUP'))
    } else if (turn % 3 === 1) {
      dotenv(more)
      await reloaded(() => writeSecrets(secrets))
    } else {
      writeSecrets(secrets)
      dotenv(more)
      await reloaded(request)
    }
    ai.secret = secrets[0] ?? ''
    if (hasOther && turn % 6 === 3) {
      other = new Load(`${service.publicUrl}/v1/webhooks/other`, AI_SECRET)
      others.push(other)
    }
  }
  await Promise.all([ai, ...others].map((load) => load.end()))

  expect([ai, ...others].flatMap((load) => load.refused)).toEqual([])
  const acknowledged = [ai, ...others].flatMap(({ uids }) => uids)
  const stored = await storedUids(service)
  expect(acknowledged.filter((uid) => !stored.has(uid))).toEqual([])
  expect(acknowledged.length).toBeGreaterThan(1_000)
  expect(others.length).toBeGreaterThan(5)
  expect(refused.length).toBeGreaterThan(15)
  for (const message of refused) {
    expect(message).toContain('422')
    for (const fault of [
      'SOURCE_GHOST_SECRET is not set',
      'SOURCE_GHOST_PROVIDER: there is no provider none',
      'RETRY_BASE_MS is soon',
      'BODY_LIMIT_BYTES is -1',
    ])
      expect(message).toContain(fault)
  }
  const told = JSON.stringify(service.logs)
  expect(told).not.toContain(secrets[0]?.slice(6))
  console.log(`${reloads} reloads, ${refused.length} refused, ${acknowledged.length} acknowledged`)
  expect(await service.stop()).toBe(0)
})

test('a service in the foreground of a terminal reloads on SIGHUP, and stops in order when the terminal is closed', async () => {
  const directory = temporaryDirectory()
  const log = join(directory, 'terminal.txt')
  // `script` of util-linux gives a program a terminal of its own, which is closed when `script` is killed.
  const terminal = spawn('script', ['-qfc', `exec ${process.execPath} ${mainFile} serve`, log], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      SHELL: '/bin/sh',
      HOST: '127.0.0.1',
      PORT: '0',
      OPS_PORT: '0',
      LOG_FORMAT: 'json',
      HANDLER_PROCESSES: '1',
    },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  onTestFinished(() => void terminal.kill('SIGKILL'))
  const shown = (text: string) =>
    eventually(
      async () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
      (lines) => lines.includes(text),
    )
  await shown('holdfast is serving')
  const pid = Number(execFileSync('pgrep', ['-n', '-f', '-P', String(terminal.pid), 'main.ts'], { encoding: 'utf8' }))
  process.kill(pid, 'SIGHUP')
  await shown('configuration reloaded')
  terminal.kill('SIGKILL')
  await eventually(
    async () => existsSync(`/proc/${pid}`),
    (isThere) => !isThere,
  )
  // The last connection of a store that is closed in order removes the log.
  const wal = statSync(join(directory, 'data/holdfast.db-wal'), { throwIfNoEntry: false })
  expect(wal?.size ?? 0).toBe(0)
})
