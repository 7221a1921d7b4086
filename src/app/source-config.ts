import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config, SourceConfig } from '../domain/config.ts'
import { messageOf } from '../domain/errors.ts'
import { databaseFile, namesPostgres } from '../storage/database-url.ts'
import type { Reader } from './variable-reader.ts'

/** Where events are kept unless `DATABASE_URL` says otherwise. */
export const DEFAULT_DATABASE_URL = 'file:data/holdfast.db'

const SOURCE_NAME = /^[a-z0-9-]{1,64}$/

export function readSources(env: Reader, databaseUrl: string): Pick<Config, 'sources' | 'generatedSecretFile'> {
  const names = env.list('SOURCES') ?? ['ai']
  if (names.length === 0) env.fault('SOURCES names no source')
  const sources = [...new Set(names)].filter((name) => {
    if (!SOURCE_NAME.test(name)) env.fault(`SOURCES: ${JSON.stringify(name)} is not a name of a-z, 0-9 and -`)
    return SOURCE_NAME.test(name)
  })
  if (new Set(names).size < names.length) env.fault('SOURCES names a source twice')
  const variables = new Map<string, string>()
  for (const name of sources) {
    const variable = variableOf(name)
    const other = variables.get(variable)
    if (other !== undefined) env.fault(`SOURCES: ${other} and ${name} would both be configured by ${variable}_…`)
    variables.set(variable, name)
  }
  const generatedSecretFile = env.names('SOURCES') || env.names('SOURCE_AI') ? undefined : secretFileOf(databaseUrl)
  return {
    sources: sources.map((name) => readSource(env, name, generatedSecretFile)),
    ...(generatedSecretFile !== undefined && { generatedSecretFile }),
  }
}

const variableOf = (name: string): string => `SOURCE_${name.toUpperCase().replaceAll('-', '_')}`

/** Beside the embedded store, or where that would be by default. */
const secretFileOf = (databaseUrl: string): string | undefined =>
  namesPostgres(databaseUrl)
    ? undefined
    : join(dirname(databaseFile(databaseUrl) ?? databaseFile(DEFAULT_DATABASE_URL) ?? ''), 'ai.secret')

function readSource(env: Reader, name: string, generatedSecretFile: string | undefined): SourceConfig {
  const variable = variableOf(name)
  const secrets = env.secrets(`${variable}_SECRET`)
  const generated = generatedSecretFile === undefined ? undefined : readSecretFile(generatedSecretFile, env)
  if (generatedSecretFile === undefined && secrets === undefined)
    env.fault(`${variable}_SECRET is not set: source ${name} would accept anything`)
  if (secrets?.includes('')) env.fault(`${variable}_SECRET holds an empty secret`)
  const types = env.list(`${variable}_TYPES`) ?? ['*']
  if (types.includes('')) env.fault(`${variable}_TYPES holds an empty pattern`)
  const apiKey = env.text(`${variable}_API_KEY`)
  if (apiKey !== undefined && !/^[\x20-\x7e]+$/.test(apiKey))
    env.fault(`${variable}_API_KEY holds a character that no header can carry`)
  return {
    name,
    variable,
    apiKey,
    dedupe: env.word(`${variable}_DEDUPE`, ['id', 'body']),
    redeliveryReplaysDead: env.optionalFlag(`${variable}_REDELIVERY_REPLAYS_DEAD`),
    apiUrl: env.url(`${variable}_API_URL`),
    provider: env.text(`${variable}_PROVIDER`) ?? name,
    secrets: (secrets ?? (generated === undefined ? [] : [generated])).filter((secret) => secret !== ''),
    types: types.filter((type) => type !== ''),
  }
}

function readSecretFile(file: string, env: Reader): string | undefined {
  try {
    const secret = readFileSync(file, 'utf8').trim()
    if (secret === '') env.fault(`${file} is empty: remove it, and a new secret is made`)
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') env.fault(`${file} cannot be read: ${messageOf(error)}`)
    return undefined
  }
}
