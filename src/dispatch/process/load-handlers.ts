import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { messageOf } from '../../domain/errors.ts'
import { createRouter, type RegisteredHandler } from '../../domain/router.ts'
import { listModules } from '../../modules/module-files.ts'

/**
 * Loads every handler module of a directory, in order of name. Each fault names its file. `onLoading` receives the file that
 * loads next, so that the service can name a file that never finishes loading; `onFault` receives faults that occur after
 * loading.
 */
export async function loadHandlers(
  directory: string,
  onLoading: (file: string) => void,
  onFault: (fault: string) => void,
): Promise<{ readonly handlers: readonly RegisteredHandler[]; readonly faults: readonly string[] }> {
  const handlers: RegisteredHandler[] = []
  const faults: string[] = []
  const owners = new Map<string, string>()
  for (const file of await filesIn(directory, faults)) {
    onLoading(file)
    const registered: RegisteredHandler[] = []
    try {
      const module: { default?: unknown } = await import(pathToFileURL(file).href)
      if (typeof module.default !== 'function') throw new TypeError('it does not default-export a function')
      const onLate = (name: string): void =>
        onFault(
          `handler module ${file}: ${name} is registered after the module has loaded, and is ignored: the module must await everything that it waits for`,
        )
      const onWrong = (fault: string): number => faults.push(`handler module ${file}: ${fault}`)
      await module.default(createRouter(basename(file, extname(file)), registered, onLate, onWrong))
      Object.freeze(registered)
    } catch (error) {
      faults.push(`handler module ${file}: ${messageOf(error)}`)
    }
    for (const handler of registered) {
      const { name } = handler.definition
      const owner = owners.get(name)
      if (owner === undefined) handlers.push(handler)
      else
        faults.push(
          `handler module ${file}: the name ${name} is taken by ${owner}; give one of the two handlers another name`,
        )
      owners.set(name, owner ?? file)
    }
  }
  return { handlers, faults }
}

async function filesIn(directory: string, faults: string[]): Promise<readonly string[]> {
  try {
    return await listModules(directory)
  } catch (error) {
    faults.push(`HANDLERS_DIR ${directory} cannot be read: ${messageOf(error)}`)
    return []
  }
}
