import { isIP } from 'node:net'
import type { Config } from '../domain/config.ts'
import type { EnvironmentReader } from './environment.ts'

/** Who may use the ops listener: its tokens, and the host names under which it answers. */
export function readOpsAccess(
  env: EnvironmentReader,
  opsHost: string,
): Pick<Config, 'opsTokens' | 'opsReadTokens' | 'opsAllowedHosts'> {
  const isReachable = !isLoopback(opsHost)
  const opsTokens = readTokens(env, 'OPS_TOKEN', opsHost)
  const opsReadTokens = readTokens(env, 'OPS_READ_TOKEN', opsHost)
  if (opsTokens.length === 0 && isReachable)
    env.fault(`OPS_HOST is ${opsHost}, which others can reach: set OPS_TOKEN, or bind it to 127.0.0.1`)
  if (opsTokens.length === 0 && opsReadTokens.length > 0)
    env.fault('OPS_READ_TOKEN needs OPS_TOKEN: without it every program on this machine may change everything')
  if (opsReadTokens.some((token) => opsTokens.includes(token)))
    env.fault('OPS_READ_TOKEN and OPS_TOKEN hold the same token: a token that only reads must be another one')
  const opsAllowedHosts = (env.list('OPS_ALLOWED_HOSTS') ?? []).map((host) => host.toLowerCase())
  for (const host of opsAllowedHosts)
    if (!HOST_NAME.test(host))
      env.fault(`OPS_ALLOWED_HOSTS: ${JSON.stringify(host)} is not a host name (without a port)`)
  return { opsTokens, opsReadTokens, opsAllowedHosts }
}

const HOST_NAME = /^[a-z\d_](?:[a-z\d_.-]{0,251}[a-z\d_])?$/

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** The tokens of one variable, separated by commas: during a rotation both the new and the old one are valid. */
function readTokens(env: EnvironmentReader, variable: string, opsHost: string): readonly string[] {
  const tokens = env.list(variable) ?? []
  if (tokens.includes('')) env.fault(`${variable} holds an empty token`)
  const given = tokens.filter((token) => token !== '')
  for (const token of given) {
    if (!/^[\x21-\x7e]+$/.test(token)) env.fault(`${variable} holds a character that no Authorization header can carry`)
    const weakness = weaknessOf(token)
    if (weakness === undefined) continue
    const which = given.length === 1 ? variable : `token ${given.indexOf(token) + 1} of ${variable}`
    if (isLoopback(opsHost))
      env.warn(`${which} ${weakness}: make one with ${TOKEN_COMMAND} before others can reach the ops listener`)
    else
      env.fault(
        `${which} ${weakness}, and OPS_HOST is ${opsHost}, which others can reach: make one with ${TOKEN_COMMAND}`,
      )
  }
  return given
}

const TOKEN_COMMAND = 'openssl rand -hex 32'
const MIN_TOKEN_LENGTH = 16
const MIN_TOKEN_CHARACTERS = 6
const MIN_UNUSUAL_CHARACTERS = 8
const USUAL_WORDS =
  /change|replace|password|passwd|secret|token|admin|holdfast|default|example|sample|placeholder|insert|test|letmein|qwerty|abcdef|0?1234567890?|12345|please|super|this|your|here|root|user|ops|key|api|dev|me|my/g

/** Why a token could be guessed; undefined if it could not. */
function weaknessOf(token: string): string | undefined {
  if (token.length < MIN_TOKEN_LENGTH) return `is shorter than ${MIN_TOKEN_LENGTH} characters`
  if (new Set(token).size < MIN_TOKEN_CHARACTERS) return `has fewer than ${MIN_TOKEN_CHARACTERS} different characters`
  const unusual = token
    .toLowerCase()
    .replace(/[^a-z\d]/g, '')
    .replace(USUAL_WORDS, '')
  return unusual.length < MIN_UNUSUAL_CHARACTERS ? 'consists of words that are often used for one' : undefined
}
