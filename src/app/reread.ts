import { existsSync } from 'node:fs'
import { ConfigurationError, messageOf } from '../domain/errors.ts'
import { type ReadConfig, readConfig } from './config.ts'
import { type Environment, replaced } from './environment.ts'
import { AT_START, isFixedAtStart } from './settings.ts'

/** Reads the configuration again, as `rereadConfig` says. `inUse`: that of the last reload that was done, or of the start. */
export type Reread = (first: ReadConfig, inUse: ReadConfig) => ReadConfig

/**
 * Reads the configuration again while the service runs. Settings that only a restart can change keep the value that they had in `first`,
 * and are named in `needRestart` if they have another one now. All others are checked together with these kept values: a reload must
 * not remove the token of a listener that others can still reach. The faults are those of both: of what the service would use now,
 * and of what its next start would use. Never throws: if nothing can be read, the result is that in use, with the fault.
 */
export function rereadConfig(
  first: ReadConfig,
  inUse: ReadConfig,
  environment: () => Environment,
  directory?: string,
): ReadConfig {
  try {
    return reread(first, inUse, environment(), directory)
  } catch (error) {
    return { ...inUse, faults: error instanceof ConfigurationError ? error.faults : [messageOf(error)] }
  }
}

function reread(first: ReadConfig, inUse: ReadConfig, now: Environment, directory?: string): ReadConfig {
  const next = readConfig(now, directory)
  const kept = Object.entries(AT_START).flatMap(([name, valueIn]) => [
    [name, valueIn(first.config)],
    [`${name}_FILE`, undefined],
  ])
  const read = readConfig(replaced(now, Object.fromEntries(kept)), directory)
  const needRestart = Object.keys(AT_START).filter(
    (name) => AT_START[name]?.(next.config) !== AT_START[name]?.(first.config),
  )
  const faults = [...new Set([...read.faults, ...next.faults, ...lostSecret(read), ...lostModules(inUse, read)])]
  // The kept values did not come from the environment that was read now.
  const settings = read.settings.map((each) =>
    isFixedAtStart(each.name) ? (first.settings.find(({ name }) => name === each.name) ?? each) : each,
  )
  return { ...read, config: { ...read.config, logStyle: first.config.logStyle }, settings, faults, needRestart }
}

/** A start would make a new secret in place of a generated one that is gone, and all senders would have to get it. */
function lostSecret({ config: { generatedSecretFile: file, sources } }: ReadConfig): readonly string[] {
  const isLost = file !== undefined && sources.some(({ secrets }) => secrets.length === 0)
  return isLost ? [`${file} is gone: put it back, or set ${sources[0]?.variable}_SECRET`] : []
}

const FOLDERS = { HANDLERS_DIR: 'handlersDir', PROVIDERS_DIR: 'providersDir' } as const

/** Without its folder the handlers that come with Holdfast would run in place of the user's, and handle their events. */
function lostModules({ config }: ReadConfig, { digests }: ReadConfig): readonly string[] {
  return Object.entries(FOLDERS).flatMap(([variable, member]) => {
    const folder = config[member]
    const isLost = folder !== undefined && !digests.has(variable) && !existsSync(folder)
    return isLost ? [`${folder} is gone: put it back, or set ${variable}`] : []
  })
}
