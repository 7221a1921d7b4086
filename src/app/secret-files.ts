import { hash } from 'node:crypto'
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs'
import { dirname, join } from 'node:path'

/** A replaced secret is several changes; several files may be replaced together. They are told once, this long after the last change. */
const SETTLE_MS = 200
const MAX_SETTLE_MS = 2_000
/** How often the files are read anyway: network file systems and mounts of single files tell of no changes. */
const LOOK_INTERVAL_MS = 10_000

/**
 * Watches files that hold secrets, and calls `onChange` after the content of one has changed. Editors replace a file by a rename, and
 * Kubernetes replaces all files of a volume by one symbolic link, so the folders are watched, and contents are compared.
 */
export class SecretFiles {
  readonly #onChange: () => void
  readonly #onFault: (file: string, error: unknown) => void
  readonly #watchers = new Map<string, FSWatcher>()
  /** File → digest of its content. */
  #known = new Map<string, string>()
  #settling: NodeJS.Timeout | undefined
  #firstMs = 0
  #looking: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(onChange: () => void, onFault: (file: string, error: unknown) => void) {
    this.#onChange = onChange
    this.#onFault = onFault
  }

  /** The content that the files have now counts as known. To be called before they are read, so that no later change is missed. */
  note(): void {
    for (const file of this.#known.keys()) this.#known.set(file, digestOf(file))
  }

  /** From now on, watches these files and no others. */
  watch(files: readonly string[]): void {
    if (this.#isClosed) return
    this.#known = new Map(files.map((file) => [file, this.#known.get(file) ?? digestOf(file)]))
    const places = new Set(files.flatMap((file) => [file, dirname(file)]))
    for (const [place, watcher] of this.#watchers) {
      if (places.has(place)) continue
      watcher.close()
      this.#watchers.delete(place)
    }
    for (const place of places) if (!this.#watchers.has(place)) this.#open(place)
    clearInterval(this.#looking)
    this.#looking = files.length === 0 ? undefined : setInterval(() => this.#look(), LOOK_INTERVAL_MS).unref()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#settling)
    clearInterval(this.#looking)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #open(place: string): void {
    try {
      const watcher = watch(place, { persistent: false }, (event, name) => {
        // Other files of the folder may be written all the time.
        if (event === 'rename' || this.#known.has(place) || this.#known.has(join(place, String(name))))
          this.#changed(place)
      })
      this.#watchers.set(place, watcher)
      watcher.on('error', (error) => this.#onFault(place, error))
    } catch (error) {
      // The file may be gone. Its folder tells when it comes back, and the next look finds it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#onFault(place, error)
    }
  }

  #changed(place: string): void {
    // The watch of a file ends when another file takes its place.
    if (this.#known.has(place)) this.#reopen(place)
    const nowMs = performance.now()
    if (this.#settling === undefined) this.#firstMs = nowMs
    clearTimeout(this.#settling)
    const waitMs = Math.max(0, Math.min(SETTLE_MS, this.#firstMs + MAX_SETTLE_MS - nowMs))
    this.#settling = setTimeout(() => this.#look(), waitMs).unref()
  }

  #reopen(place: string): void {
    this.#watchers.get(place)?.close()
    this.#watchers.delete(place)
    this.#open(place)
  }

  #look(): void {
    clearTimeout(this.#settling)
    this.#settling = undefined
    let isChanged = false
    for (const [file, known] of this.#known) {
      const digest = digestOf(file)
      if (digest === known) continue
      isChanged = true
      this.#known.set(file, digest)
      this.#reopen(file)
    }
    if (isChanged) this.#onChange()
  }
}

const NO_FILE = 'not a file'

function digestOf(file: string): string {
  try {
    // A pipe, which a shell makes for `<(…)`, can be read once only.
    return statSync(file).isFile() ? hash('sha256', readFileSync(file)) : NO_FILE
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}
