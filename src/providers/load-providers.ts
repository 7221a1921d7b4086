import { pathToFileURL } from 'node:url'
import { messageOf } from '../domain/errors.ts'
import type { Provider } from '../domain/provider.ts'
import { faultOf, faultText, placeOfDefaultExport, shownPath } from '../modules/module-fault.ts'
import { listModules } from '../modules/module-files.ts'
import { registerModuleHooks } from '../modules/module-hooks.ts'
import { providerFaults } from './check-provider.ts'
import { shippedModules } from './index.ts'

export interface LoadedProvider {
  readonly provider: Provider
  /** File URL of the module that exports it, for the handler processes, which load the module themselves. */
  readonly module: string
  /** It is a user's module, not a shipped one. */
  readonly isOwn: boolean
}

/** Imports a module by its file URL, as `import` does. */
type ImportModule = (url: string) => Promise<{ readonly default?: unknown }>

/**
 * The shipped providers and those of a directory, by name. A user's module replaces a shipped one with the same name; two of the
 * user's modules must not have the same name. Faults name the file.
 */
export async function loadProviders(
  directory: string | undefined,
  importOwn: ImportModule = importHere,
): Promise<{ readonly providers: ReadonlyMap<string, LoadedProvider>; readonly faults: readonly string[] }> {
  const faults: string[] = []
  const shipped = Object.entries(shippedModules).map(([file, provider]): [string, LoadedProvider] => {
    return [provider.name, { provider, module: new URL(file, import.meta.url).href, isOwn: false }]
  })
  const own = new Map<string, LoadedProvider>()
  for (const file of directory === undefined ? [] : await filesIn(directory, faults)) {
    const module = pathToFileURL(file).href
    const provider = await loadProvider(file, () => importOwn(module), faults)
    if (provider === undefined) continue
    if (own.has(provider.name))
      faults.push(
        `provider module ${shownPath(file)}: the name ${provider.name} is taken by ${own.get(provider.name)?.module}`,
      )
    else own.set(provider.name, { provider, module, isOwn: true })
  }
  return { providers: new Map([...shipped, ...own]), faults }
}

const importHere: ImportModule = (url) => {
  registerModuleHooks()
  return import(url)
}

async function filesIn(directory: string, faults: string[]): Promise<readonly string[]> {
  try {
    return await listModules(directory)
  } catch (error) {
    faults.push(`PROVIDERS_DIR ${directory} cannot be read: ${messageOf(error)}`)
    return []
  }
}

async function loadProvider(
  file: string,
  load: () => ReturnType<ImportModule>,
  faults: string[],
): Promise<Provider | undefined> {
  try {
    const module = await load()
    const found = 'default' in module ? providerFaults(module.default) : ['it has no default export']
    if (found.length === 0) return module.default as Provider
    const place = await placeOfDefaultExport(file)
    faults.push(...found.map((message) => `provider module ${faultText(file, { message, place })}`))
  } catch (error) {
    faults.push(`provider module ${faultText(file, await faultOf(file, error))}`)
  }
  return undefined
}
