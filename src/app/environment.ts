import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { ConfigurationError, messageOf } from '../domain/errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The process's environment over what `.env` says, where there is one. The only place that reads either. Throws
 * `ConfigurationError` where `.env` is there and cannot be read.
 */
export function readEnvironment(): Environment {
  try {
    return { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return process.env
    throw new ConfigurationError([`.env cannot be read: ${messageOf(error)}`])
  }
}

/** What programs that this one starts find in their environment. */
export const inheritedEnvironment = (): Environment => process.env
