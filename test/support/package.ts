import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

export const checkout = join(import.meta.dirname, '../..')

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Without what npm and the test runner have set. */
const environment = Object.fromEntries([
  ...Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|VITEST|TEST$|NODE_COMPILE_CACHE|NODE_ENV|FORCE_COLOR)/.test(name),
  ),
  ['NO_COLOR', '1'],
])

/** Runs a program to its end. */
export async function run(
  [program = '', ...args]: readonly string[],
  cwd: string,
  more: Readonly<Record<string, string | undefined>> = {},
): Promise<Ran> {
  const running = promisify(execFile)(program, args, {
    cwd,
    env: { ...environment, ...more },
    maxBuffer: 64 * 1_048_576,
  })
  return running.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    ({ code, stdout, stderr }: { code?: unknown; stdout: string; stderr: string }) => ({
      code: typeof code === 'number' ? code : -1,
      out: stdout,
      err: `${stderr}${typeof code === 'number' ? '' : String(code)}`,
    }),
  )
}

/** Runs a program that has to succeed; gives its output. */
export async function succeed(
  command: readonly string[],
  cwd: string,
  more: Readonly<Record<string, string | undefined>> = {},
): Promise<string> {
  const { code, out, err } = await run(command, cwd, more)
  if (code !== 0) throw new Error(`${command.join(' ')} has ended with ${code}: ${out}${err}`)
  return out
}

/** What `npm pack` makes of this checkout: the path of the tarball, and the files in it. */
export async function packHoldfast(directory: string): Promise<{ tarball: string; files: readonly string[] }> {
  const out = await succeed(['npm', 'pack', '--json', '--pack-destination', directory], checkout)
  const [packed] = JSON.parse(out) as [{ filename: string; files: readonly { path: string }[] }]
  return { tarball: join(directory, packed.filename), files: packed.files.map(({ path }) => path) }
}

export const INSTALL = ['npm', 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'] as const

export function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
}

/** A directory that is gone when the file's tests are over: call it outside of a test, and remove it in `afterAll`. */
export function makeDirectory(name: string): { directory: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), `holdfast-${name}-`))
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}
