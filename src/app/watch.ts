import { existsSync, type FSWatcher, type WatchOptionsWithStringEncoding, watch } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { importedFiles } from './imported-files.ts'

/** A save is several changes, and a checkout many: they are told as one, this long after the last of them, but not later than the cap. */
const SETTLE_MS = 50
const MAX_SETTLE_MS = 500

/** Files that modules are made of; but no tests, and nothing in hidden folders or installed packages. */
const MODULE_FILE = /\.(?:[cm]?[jt]s|[jt]sx|json|wasm|node)$/
const NO_MODULE = /(?:^|\/)(?:\.|node_modules(?:\/|$))|\.(?:test|spec)\.[cm]?[jt]sx?$/

interface ModuleWatch {
  readonly directories: readonly string[]
  readonly onChange: () => void
  /** A directory cannot be watched, so that its changes are not told. */
  readonly onFault: (directory: string, error: unknown) => void
}

/**
 * Calls `onChange` after module files in these directories, or in folders of them, were changed, added or removed, and after files
 * elsewhere that they import by a relative path were. A directory may be absent, and may be removed and made again. Returns a function
 * that ends the watch.
 */
export function watchModules({ directories, onChange, onFault }: ModuleWatch): () => void {
  let timer: NodeJS.Timeout | undefined
  let firstMs = 0
  const changed = (): void => {
    const nowMs = performance.now()
    if (timer === undefined) firstMs = nowMs
    clearTimeout(timer)
    timer = setTimeout(
      () => {
        timer = undefined
        imported.watch(importedFiles(directories))
        onChange()
      },
      Math.max(0, Math.min(SETTLE_MS, firstMs + MAX_SETTLE_MS - nowMs)),
    )
  }
  const watches = directories.map((directory) => {
    const folder = new FolderWatch(directory, changed, (error) => onFault(directory, error))
    folder.open()
    return folder
  })
  const imported = new ImportedFiles(changed, onFault)
  imported.watch(importedFiles(directories))
  return () => {
    clearTimeout(timer)
    for (const each of [...watches, imported]) each.close()
  }
}

/** Watches single files. Their folders are watched, because the watch of a file ends when another file takes its place. */
class ImportedFiles {
  readonly #onChange: () => void
  readonly #onFault: ModuleWatch['onFault']
  readonly #watchers = new Map<string, FSWatcher>()
  #files: ReadonlySet<string> = new Set()

  constructor(onChange: () => void, onFault: ModuleWatch['onFault']) {
    this.#onChange = onChange
    this.#onFault = onFault
  }

  /** From now on, watches these files and no others. */
  watch(files: readonly string[]): void {
    this.#files = new Set(files)
    const folders = new Set(files.map((file) => dirname(file)).filter((folder) => existsSync(folder)))
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#open(folder)
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close()
  }

  #open(folder: string): void {
    try {
      const watcher = watch(folder, (_event, name) => {
        if (this.#files.has(join(folder, String(name)))) this.#onChange()
      })
      this.#watchers.set(
        folder,
        watcher.on('error', (error) => this.#onFault(folder, error)),
      )
    } catch (error) {
      this.#onFault(folder, error)
    }
  }
}

/** Watches one directory with all its folders, and the place where it stands. */
class FolderWatch {
  readonly #directory: string
  readonly #onChange: () => void
  readonly #onFault: (error: unknown) => void
  #watchers: FSWatcher[] = []

  constructor(directory: string, onChange: () => void, onFault: (error: unknown) => void) {
    this.#directory = directory
    this.#onChange = onChange
    this.#onFault = onFault
  }

  open(): void {
    try {
      this.#watchPlace()
      if (existsSync(this.#directory)) this.#watchFiles()
    } catch (error) {
      this.#onFault(error)
    }
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close()
    this.#watchers = []
  }

  #watchFiles(): void {
    const ignore = (name: string): boolean => NO_MODULE.test(name.replaceAll(sep, '/'))
    const watcher = this.#watch(this.#directory, { recursive: true, ignore })
    watcher.on('change', (_event, name) => {
      if (MODULE_FILE.test(String(name))) this.#onChange()
    })
  }

  /** The nearest directory above that exists: the watch of a directory ends with it, and does not see that it is made again. */
  #watchPlace(): void {
    let place = dirname(this.#directory)
    while (!existsSync(place)) place = dirname(place)
    const [next] = relative(place, this.#directory).split(sep)
    this.#watch(place).on('change', (event, name) => {
      if (event !== 'rename' || (name !== next && existsSync(place))) return
      this.close()
      this.open()
      this.#onChange()
    })
  }

  #watch(place: string, options: WatchOptionsWithStringEncoding = {}): FSWatcher {
    const watcher = watch(place, options)
    this.#watchers.push(watcher)
    return watcher.on('error', (error) => this.#onFault(error))
  }
}
