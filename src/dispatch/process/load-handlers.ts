import { basename, extname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { messageOf } from '../../domain/errors.ts'
import { createRouter, type RegisteredHandler, type Router } from '../../domain/router.ts'
import {
  faultOf,
  faultText,
  placeOfCall,
  placeOfDefaultExport,
  placeText,
  shownPath,
} from '../../modules/module-fault.ts'
import { listModules } from '../../modules/module-files.ts'

/**
 * Loads every handler module of a directory, in order of name. Each fault names its file, with line and column where they are
 * known. `onLoading` receives the file that loads next, so that the service can name a file that never finishes loading;
 * `onFault` receives faults that occur after loading. `takeUncaught` is called with a function for the errors that nothing catches
 * while a module loads, such as a rejection that it does not await, and with undefined in the end.
 */
export async function loadHandlers(
  directory: string,
  onLoading: (file: string) => void,
  onFault: (fault: string) => void,
  takeUncaught: (take: ((error: unknown) => void) | undefined) => void = () => {},
): Promise<{ readonly handlers: readonly RegisteredHandler[]; readonly faults: readonly string[] }> {
  const handlers: RegisteredHandler[] = []
  const faults: string[] = []
  /** The name of each handler → where it is registered. */
  const owners = new Map<string, string>()
  for (const file of await filesIn(directory, faults)) {
    onLoading(shownPath(file))
    const uncaught = Promise.withResolvers<never>()
    takeUncaught(uncaught.reject)
    const { registered, calls, faults: found } = await loadModule(file, onFault, uncaught.promise)
    faults.push(...found)
    for (const handler of registered) {
      const { name } = handler.definition
      const call = calls.get(handler)
      const owner = owners.get(name)
      if (owner === undefined) handlers.push(handler)
      else
        faults.push(
          faultAt(file, `the name ${name} is taken by ${owner}; give one of the two handlers another name`, call),
        )
      const place = call && placeOfCall(file, call)
      owners.set(name, owner ?? (place === undefined ? shownPath(file) : placeText(place)))
    }
  }
  takeUncaught(undefined)
  return { handlers, faults }
}

interface LoadedModule {
  readonly registered: readonly RegisteredHandler[]
  /** An error that was made during the call that registered the handler. */
  readonly calls: ReadonlyMap<RegisteredHandler, Error>
  readonly faults: readonly string[]
}

async function loadModule(
  file: string,
  onFault: (fault: string) => void,
  uncaught: Promise<never>,
): Promise<LoadedModule> {
  const registered: RegisteredHandler[] = []
  const calls = new Map<RegisteredHandler, Error>()
  const faults: string[] = []
  try {
    const module: { default?: unknown } = await Promise.race([uncaught, import(pathToFileURL(file).href)])
    if (typeof module.default !== 'function') {
      const fault = { message: 'it does not default-export a function', place: await placeOfDefaultExport(file) }
      return { registered, calls, faults: [`handler module ${faultText(file, fault)}`] }
    }
    const onLate = (name: string): void =>
      onFault(
        faultAt(
          file,
          `${name} is registered after the module has loaded, and is ignored: the module must await everything that it waits for`,
          new Error(),
        ),
      )
    const onWrong = (fault: string): number => faults.push(faultAt(file, fault, new Error()))
    const router = createRouter(basename(file, extname(file)), registered, onLate, onWrong)
    await Promise.race([uncaught, module.default(notingCalls(router, registered, calls))])
    Object.freeze(registered)
    // Node tells of rejections that nothing handles before the next turn.
    await Promise.race([uncaught, setImmediate()])
  } catch (error) {
    faults.push(`handler module ${faultText(file, await faultOf(file, error))}`)
  }
  return { registered, calls, faults }
}

/** The same router, which also notes the call that registers a handler. */
function notingCalls(
  router: Router,
  registered: readonly RegisteredHandler[],
  calls: Map<RegisteredHandler, Error>,
): Router {
  const { on, register } = router as unknown as Readonly<Record<keyof Router, (this: void, ...args: unknown[]) => void>>
  const noting =
    (method: typeof on): typeof on =>
    (...args) => {
      const before = registered.length
      method(...args)
      for (const handler of registered.slice(before)) calls.set(handler, new Error())
    }
  return { on: noting(on), register: noting(register) }
}

const faultAt = (file: string, message: string, call: Error | undefined): string =>
  `handler module ${faultText(file, { message, place: call && placeOfCall(file, call) })}`

async function filesIn(directory: string, faults: string[]): Promise<readonly string[]> {
  try {
    return await listModules(directory)
  } catch (error) {
    faults.push(`HANDLERS_DIR ${directory} cannot be read: ${messageOf(error)}`)
    return []
  }
}
