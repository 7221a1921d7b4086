import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newStandardSecret } from '../../src/signatures/standard-webhooks.ts'
import { run } from '../cli/run.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { startService, temporaryDirectory } from '../support/service.ts'

/** The status of a webhook that is signed by this secret. */
async function statusBy(
  secret: string,
  { publicUrl }: Pick<LocalService, 'publicUrl'>,
  path = '/v1/webhooks/ai',
): Promise<number> {
  const { body } = signedEvent('completion.started', { completion_id: 'c1' })
  return (await fetch(publicUrl + path, { method: 'POST', body, headers: signedHeaders(body, secret) })).status
}

const until = (secret: string, service: Pick<LocalService, 'publicUrl'>, status: number) =>
  eventually(
    () => statusBy(secret, service),
    (found) => found === status,
  )

test('a reload by request takes new secrets, sources and types, and names what has changed without a secret', async () => {
  const service = await startLocal()
  const [one, two] = [newStandardSecret(), newStandardSecret()]
  Object.assign(service.configured, {
    SOURCES: 'ai,more',
    SOURCE_AI_SECRET: `${one},${AI_SECRET}`,
    SOURCE_AI_TYPES: 'completion.*',
    SOURCE_MORE_PROVIDER: 'ai',
    SOURCE_MORE_SECRET: two,
    RETENTION_DAYS: '7',
    BODY_LIMIT_BYTES: '300',
  })
  expect(await statusBy(one, service)).toBe(401)
  const answer = await service.post('/v1/reload')
  expect(answer).toMatchObject({
    status: 200,
    body: {
      sources: {
        added: ['more'],
        removed: [],
        changed: [{ name: 'ai', secrets: 2, secrets_added: [1], secrets_removed: [] }],
      },
      handlers: { added: [], removed: [] },
      settings: [
        'BODY_LIMIT_BYTES',
        'RETENTION_DAYS',
        'SOURCES',
        'SOURCE_AI_SECRET',
        'SOURCE_AI_TYPES',
        'SOURCE_MORE_PROVIDER',
        'SOURCE_MORE_SECRET',
      ],
      restart_needed: [],
    },
  })
  expect(await statusBy(one, service)).toBe(200)
  expect(await statusBy(AI_SECRET, service)).toBe(200)
  expect(await statusBy(two, service, '/v1/webhooks/more')).toBe(200)
  const { items } = await service.api('/v1/sources')
  expect(items).toMatchObject([{ name: 'ai', types: ['completion.*'] }, { name: 'more' }])
  expect(await service.api('/v1/retention')).toMatchObject({ retention_days: 7 })
  const long = await fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', body: 'x'.repeat(301) })
  expect(long.status).toBe(413)

  Object.assign(service.configured, { SOURCES: 'ai', SOURCE_AI_SECRET: one })
  const { out, code } = await run(['reload'], service.environment)
  expect(code).toBe(0)
  expect(out).toMatch(/^sources removed +more$/m)
  expect(out).toMatch(/^sources changed +ai \(1 secret; removed from place 2\)$/m)
  expect(await statusBy(AI_SECRET, service)).toBe(401)
  expect(await statusBy(two, service, '/v1/webhooks/more')).toBe(404)
  const told = JSON.stringify([service.logs, answer, out])
  expect(told).toContain('configuration reloaded')
  for (const secret of [one, two, AI_SECRET]) expect(told).not.toContain(secret.slice(6))
})

test('a reload with faults is refused with all of them, the old configuration stays, and a metric and the log tell', async () => {
  const service = await startLocal()
  const faulty = {
    SOURCES: 'ai,ghost',
    SOURCE_AI_SECRET: 'whsec_c2hvcnQ=',
    SOURCE_GHOST_PROVIDER: 'no-such',
    SOURCE_GHOST_SECRET: AI_SECRET,
    RETRY_MAX_ATTEMPTS: 'many',
    PORT: '99999',
  }
  const before = { ...service.configured }
  Object.assign(service.configured, faulty)
  const metric = async (): Promise<string> =>
    /^holdfast_config_last_reload_successful (\d)$/m.exec(
      await (await fetch(`${service.opsUrl}/metrics`)).text(),
    )?.[1] ?? ''
  expect(await metric()).toBe('1')
  const refused = await service.post('/v1/reload')
  expect(refused).toMatchObject({ status: 422, body: { type: 'urn:holdfast:problem:configuration-refused' } })
  const { reasons } = refused.body as { reasons: string[] }
  const expected = [
    /SOURCE_AI_SECRET: a secret has 5 bytes/,
    /SOURCE_GHOST_PROVIDER: there is no/,
    /RETRY_MAX_ATTEMPTS is many/,
  ]
  for (const fault of expected) expect(reasons).toContainEqual(expect.stringMatching(fault))
  expect(await metric()).toBe('0')
  expect(service.logs.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining([...reasons, 'not reloaded: the old configuration stays']),
  )
  expect(await statusBy(AI_SECRET, service)).toBe(200)
  const command = await run(['reload'], service.environment)
  expect(command).toMatchObject({ code: 78, out: '' })
  for (const reason of reasons) expect(command.err).toContain(`  - ${reason}\n`)
  const problems = async (): Promise<unknown[]> => {
    const { problems: told } = (await (await fetch(`${service.opsUrl}/v1/status`)).json()) as { problems: unknown[] }
    return told
  }
  expect(await eventually(problems, (told) => told.length > 0)).toMatchObject([
    { problem: 'reload_failed', cause: reasons.join('; ') },
  ])

  for (const name of Object.keys(faulty)) delete service.configured[name]
  Object.assign(service.configured, before)
  expect(await service.post('/v1/reload')).toMatchObject({ status: 200, body: { settings: [] } })
  expect(await metric()).toBe('1')
  await eventually(problems, (told) => told.length === 0)
})

test('a setting that only a restart can change keeps its value, and is named until it is as at the start', async () => {
  const service = await startLocal()
  Object.assign(service.configured, { SHUTDOWN_GRACE_MS: '77', DATABASE_URL: 'file:/elsewhere/holdfast.db' })
  expect(await service.post('/v1/reload')).toMatchObject({
    status: 200,
    body: { settings: [], restart_needed: ['DATABASE_URL', 'SHUTDOWN_GRACE_MS'] },
  })
  expect(await statusBy(AI_SECRET, service)).toBe(200)
  expect(service.logs).toContainEqual(expect.objectContaining({ settings: ['DATABASE_URL', 'SHUTDOWN_GRACE_MS'] }))
})

test('a reload cannot take the token from an ops listener that others reach, even if OPS_HOST is changed with it', async () => {
  const token = 'N7hQ2wXz5kVb9RtY4mPc'
  const service = await startLocal({ OPS_HOST: '0.0.0.0', OPS_TOKEN: token })
  delete service.configured.OPS_TOKEN
  service.configured.OPS_HOST = '127.0.0.1'
  expect(await service.reloadConfig('request')).toMatchObject({
    ok: false,
    faults: [expect.stringContaining('OPS_HOST is 0.0.0.0, which others can reach')],
  })
})

test('holdfast reload reaches a service that does not know the newest token yet, and replaces its tokens', async () => {
  const [older, newer] = ['N7hQ2wXz5kVb9RtY4mPc', 'pW8mK3vTq6ZxYc2RbN9d']
  const service = await startLocal({ OPS_TOKEN: older })
  const OPS_TOKEN = `${newer},${older}`
  service.configured.OPS_TOKEN = OPS_TOKEN
  expect(await run(['reload'], { ...service.environment, OPS_TOKEN })).toMatchObject({ code: 0, err: '' })
  service.configured.OPS_TOKEN = newer
  expect(await run(['reload'], { ...service.environment, OPS_TOKEN: newer })).toMatchObject({ code: 0 })
  const status = async (token: string) =>
    (await fetch(`${service.opsUrl}/v1/sources`, { headers: { authorization: `Bearer ${token}` } })).status
  expect([await status(older), await status(newer)]).toEqual([401, 200])
  expect((await run(['reload'], { ...service.environment, OPS_TOKEN: 'Qx4vB8nM2kLp7TzR5wHd' })).err).toContain('401')
})

test('a secret in a file is taken when the file is written, replaced by a rename, or swapped by a link as Kubernetes does', async () => {
  const directory = temporaryDirectory()
  const version = (name: string, secret: string): string => {
    const folder = join(directory, name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'secret'), `${secret}\n`)
    return name
  }
  const [one, two, three, four] = [1, 2, 3, 4].map(newStandardSecret) as [string, string, string, string]
  symlinkSync(version('..1', one), join(directory, '..data'))
  symlinkSync('..data/secret', join(directory, 'secret'))
  const file = join(directory, 'secret')
  const service = await startLocal({ SOURCE_AI_SECRET: '', SOURCE_AI_SECRET_FILE: file })
  expect(await statusBy(one, service)).toBe(200)

  symlinkSync(version('..2', two), join(directory, '..data_tmp'))
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
  await until(two, service, 200)
  expect(await statusBy(one, service)).toBe(401)

  writeFileSync(join(directory, 'new'), three)
  renameSync(join(directory, 'new'), file)
  await until(three, service, 200)

  writeFileSync(file, '')
  await eventually(
    async () => service.logs.some(({ msg }) => msg === 'SOURCE_AI_SECRET holds an empty secret'),
    Boolean,
  )
  expect(await statusBy(three, service)).toBe(200)
  rmSync(file)
  await eventually(
    async () => service.logs.some(({ msg }) => msg === 'SOURCE_AI_SECRET_FILE cannot be read: ENOENT'),
    Boolean,
  )
  writeFileSync(file, `${four}\n`)
  await until(four, service, 200)
  expect(service.logs.filter(({ msg }) => msg === 'configuration reloaded')).toHaveLength(3)
})

/** The newest entry first, of a reload that no request asked for. */
const reloads = async ({ api }: Pick<LocalService, 'api'>): Promise<unknown[]> =>
  (await api('/v1/audit?action=configuration.reload')).items
const entryBy = (actor: 'file' | 'signal') => {
  const unknown = { status: null, token_place: null, claimed_name: null, peer: null, agent: null }
  const entry = { id: expect.any(Number), at: expect.any(String), action: 'configuration.reload', actor, ...unknown }
  return {
    done: { ...entry, outcome: 'done', reason: null, target: 'SOURCE_AI_SECRET', count: 1 },
    failed: (reason: string) => ({ ...entry, outcome: 'failed', reason, target: null, count: null }),
  }
}

test('a reload by a secret file that changed is in the audit, whether it was done or refused', async () => {
  const file = join(temporaryDirectory(), 'secret')
  const replace = (secret: string): void => {
    writeFileSync(`${file}.new`, secret)
    renameSync(`${file}.new`, file)
  }
  replace(AI_SECRET)
  const service = await startLocal({ SOURCE_AI_SECRET: '', SOURCE_AI_SECRET_FILE: file })
  const recorded = (count: number) =>
    eventually(
      () => reloads(service),
      ({ length }) => length === count,
    )
  const { done, failed } = entryBy('file')
  replace(newStandardSecret())
  expect(await recorded(1)).toEqual([done])
  replace('whsec_c2hvcnQ=')
  expect(await recorded(2)).toEqual([failed('1 fault'), done])
})

test('SIGHUP reads .env again, which the audit tells, and a new secret is kept out of the log from then on', async () => {
  const directory = temporaryDirectory()
  const dotenv = (secret: string, more = ''): void =>
    writeFileSync(join(directory, '.env'), `SOURCE_AI_SECRET=${secret}\n${more}`)
  dotenv(AI_SECRET)
  const unset = { SOURCE_AI_SECRET: undefined } as unknown as Record<string, string>
  const service = await startService({ ...unset, HANDLER_PROCESSES: '1' }, directory)
  // Of characters that a request id may have.
  const secret = `whsec_${Buffer.from('a-new-secret-of-thirty-three-byte').toString('base64')}`
  dotenv(secret, `PROVIDERS_DIR=${join(directory, 'gone')}\nSOURCE_AI_PROVIDER=${secret}\n`)
  service.child.kill('SIGHUP')
  await service.logged(({ msg }) => msg?.startsWith('SOURCE_AI_PROVIDER: there is no provider [redacted]') === true)
  dotenv(secret)
  service.child.kill('SIGHUP')
  await service.logged(({ msg }) => msg === 'configuration reloaded')
  expect(await statusBy(secret, service)).toBe(200)
  const { done, failed } = entryBy('signal')
  const recorded = await eventually(
    () => reloads(service),
    ({ length }) => length === 2,
  )
  expect(recorded).toEqual([done, failed('2 faults')])
  for (const outcome of ['failed', 'done'])
    await service.logged((line) => line.action === done.action && line.actor === 'signal' && line.outcome === outcome)
  const headers = { 'x-request-id': secret }
  await fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', body: '{}', headers })
  expect(await service.logged(({ msg }) => msg === 'webhook refused')).toMatchObject({ reqId: '[redacted]' })
  expect(JSON.stringify(service.logs)).not.toContain(secret.slice(6))
  expect(await service.stop()).toBe(0)
})

test('which secret of a source verifies, how often and when last is in GET /v1/sources, the metrics and the log, and a secret keeps its count at another place', async () => {
  const [newer, empty] = [newStandardSecret(), newStandardSecret()]
  const service = await startLocal({ SOURCE_AI_SECRET: `${newer},${AI_SECRET}` })
  const secretsOf = async () => (await service.api('/v1/sources')).items[0].secrets
  await statusBy(AI_SECRET, service)
  await statusBy(AI_SECRET, service)
  await statusBy(empty, service)
  expect(await secretsOf()).toMatchObject([
    { place: 1, verified: 0, last_verified_at: null },
    { place: 2, verified: 2, last_verified_at: expect.any(String) },
  ])
  await statusBy(newer, service)
  service.configured.SOURCE_AI_SECRET = `${empty},${newer},${AI_SECRET}`
  await service.reloadConfig('request')
  await statusBy(AI_SECRET, service)
  expect((await secretsOf()).map(({ verified }: { verified: number }) => verified)).toEqual([0, 1, 3])
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text()
  const value = (place: number) =>
    Number(new RegExp(`_last_verified_timestamp_seconds\\{source="ai",place="${place}"\\} (\\S+)`).exec(metrics)?.[1])
  expect(value(1)).toBe(0)
  expect(value(3)).toBeGreaterThanOrEqual(value(2))
  const told = service.logs.flatMap(({ msg, secret }) => (typeof secret === 'number' ? [[msg, secret]] : []))
  expect(told).toEqual([
    ['an older secret still verifies', 2],
    ['the newest secret verifies', 1],
  ])
})
