import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { completed, readEnvironment } from '../../src/app/environment.ts'
import { rereadConfig } from '../../src/app/reread.ts'
import { SETTING_GROUPS } from '../../src/app/settings.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const GIVEN = { SOURCES: 'shop', SOURCE_SHOP_PROVIDER: 'standard', SOURCE_SHOP_SECRET: SECRET }

const settingsOf = (given: Record<string, string>) =>
  new Map(readConfig(given).settings.map((setting) => [setting.name, setting]))

test('every setting that is read is in the table of settings, and the table has no others', () => {
  const read = readConfig(GIVEN).settings.map(({ name }) => name.replace('SOURCE_SHOP_', 'SOURCE_*_'))
  const listed = Object.values(SETTING_GROUPS).flatMap((settings) => Object.keys(settings))
  expect(read.toSorted()).toEqual(listed.toSorted())
})

test('a setting has the value in use: the default, or what is set', () => {
  const settings = settingsOf({ ...GIVEN, PORT: ' 9000 ', LOG_LEVEL: '' })
  expect(settings.get('PORT')).toMatchObject({ value: '9000', from: 'environment', isFixed: true })
  expect(settings.get('OPS_PORT')).toMatchObject({ value: '8081', from: 'default' })
  expect(settings.get('LOG_LEVEL')).toMatchObject({ value: 'info', from: 'default', isFixed: false })
  expect(settings.get('RETENTION_DEAD_DAYS')).toMatchObject({ value: '30', from: 'default' })
  expect(settings.get('SOURCE_SHOP_TYPES')).toMatchObject({ value: '*', source: 'shop' })
  expect(settings.get('PUBLIC_URL')?.value).toBeUndefined()
})

test('a setting says whether it came from the environment, from .env, or from a file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'settings-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const [dotEnv, secretFile] = [join(directory, '.env'), join(directory, 'secret')]
  writeFileSync(dotEnv, 'PORT=9001\nOPS_PORT=9002\nHANDLERS_DIR=own\n')
  writeFileSync(secretFile, `${SECRET}\n`)
  const own = {
    SOURCES: 'shop',
    SOURCE_SHOP_PROVIDER: 'standard',
    SOURCE_SHOP_SECRET_FILE: secretFile,
    OPS_PORT: '9003',
  }
  const first = readConfig(readEnvironment(own, dotEnv), directory)
  const again = rereadConfig(first, first, () => readEnvironment(own, dotEnv), directory)
  for (const { settings } of [first, again]) {
    const byName = new Map(settings.map((setting) => [setting.name, setting]))
    expect(byName.get('PORT')).toMatchObject({ value: '9001', from: '.env', file: dotEnv })
    expect(byName.get('HANDLERS_DIR')).toMatchObject({ value: join(directory, 'own'), from: '.env' })
    expect(byName.get('OPS_PORT')).toMatchObject({ value: '9003', from: 'environment' })
    expect(byName.get('HOST')).toMatchObject({ value: '0.0.0.0', from: 'default' })
    expect(byName.get('SOURCE_SHOP_SECRET')).toMatchObject({ from: 'file', file: secretFile, secret: { count: 1 } })
    expect(byName.get('SOURCE_SHOP_SECRET')?.secret?.changedAtMs).toBeGreaterThan(0)
  }
})

test('a setting of a source is that of the source with the longest name that fits', () => {
  const settings = settingsOf({ ...GIVEN, SOURCES: 'shop,shop-eu', SOURCE_SHOP_EU_SECRET: SECRET })
  expect(settings.get('SOURCE_SHOP_EU_SECRET')).toMatchObject({ source: 'shop-eu', group: 'Sources' })
  expect(settings.get('SOURCE_SHOP_SECRET')).toMatchObject({ source: 'shop', group: 'Sources' })
})

test('a default that a command has of its own is a default', () => {
  const { settings } = readConfig(completed(readEnvironment({}, 'no-such-file'), { LOG_FORMAT: 'pretty' }))
  expect(settings.find(({ name }) => name === 'LOG_FORMAT')).toMatchObject({ value: 'pretty', from: 'default' })
})

test('a secret that was generated beside the store of the start is shown as set after a reload that names another store', () => {
  const directory = mkdtempSync(join(tmpdir(), 'settings-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const at = (place: string) => ({ DATABASE_URL: `file:${join(directory, place, 'h.db')}` })
  const file = readConfig(at('a')).config.generatedSecretFile ?? ''
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, SECRET)
  const first = readConfig(at('a'))
  const { settings, needRestart } = rereadConfig(first, first, () => at('b'))
  expect(needRestart).toEqual(['DATABASE_URL'])
  const [before, after] = [first.settings, settings].map((all) => all.find(({ name }) => name === 'SOURCE_AI_SECRET'))
  expect(before).toMatchObject({ secret: { count: 1 } })
  expect(after).toEqual(before)
})

test('no setting holds a secret: neither a token, nor a key, nor a password in a URL', () => {
  const { settings } = readConfig({
    ...GIVEN,
    SOURCE_SHOP_SECRET: `${SECRET},another-secret-of-shop`,
    SOURCE_SHOP_API_KEY: 'sk-of-the-shop',
    OPS_TOKEN: 'correct-horse-battery-staple',
    OPS_READ_TOKEN: 'wrong-horse-battery-staple',
    PUBLIC_URL: 'https://us:hunter@hooks.example.com',
    SOURCE_SHOP_API_URL: 'https://api.example.com/?key=swordfish',
    DATABASE_URL: 'postgres://holdfast:hunter%402@db/holdfast?sslmode=require&password=swordfish&schema=h',
  })
  const text = JSON.stringify(settings)
  for (const secret of [SECRET, 'MfKQ9r8G', 'another', 'sk-of', 'horse', 'hunter', 'swordfish'])
    expect(text).not.toContain(secret)
  expect(text).toContain('postgres://holdfast:…@db/holdfast?sslmode=require&password=…&schema=h')
  expect(settings.find(({ name }) => name === 'SOURCE_SHOP_SECRET')?.secret).toEqual({
    count: 2,
    changedAtMs: undefined,
  })
})
