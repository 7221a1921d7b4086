import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../domain/errors.ts'
import { VERSION } from '../domain/version.ts'
import { CommandError, command, EXIT_OK } from './command.ts'
import { printable, write } from './output.ts'

const TEMPLATE = fileURLToPath(new URL('../../templates/project/', import.meta.url))

/** What a folder may hold already. The command writes no file that is there. */
const HARMLESS =
  /^(?:\.git|\.gitattributes|\.gitignore|\.github|\.hg|\.idea|\.vscode|\.editorconfig|\.DS_Store|Thumbs\.db|(?:LICENSE|README)(?:\.\w+)?)$/

const MAX_NAMED = 3

export const init = command({
  name: 'init',
  summary: 'Makes a project for your handlers: with a handler, its test, types, settings and a Dockerfile.',
  operands: ['dir'],
  flags: {
    holdfast: {
      value: '<spec>',
      help: 'the package that it depends on, such as a tarball; the one on npm unless given',
    },
  },
  run: async ({ flags, operands: [folder] }, io) => {
    const directory = resolve(folder)
    await refuseUsed(directory, folder)
    const values = { name: nameOf(directory), holdfast: dependency(flags.holdfast, directory) }
    const { made, kept } = await writeProject(directory, values)
    const shown = printable(folder)
    const lines = [
      `Made in ${shown}: ${made.join(', ')}`,
      ...(kept.length > 0 ? [`Was there, and is as it was: ${kept.join(', ')}`] : []),
      '',
      'Next:',
      ...(relative(process.cwd(), directory) === '' ? [] : [`  cd ${forShell(shown)}`]),
      '  npm install',
      '  npm run dev                                # serves, and loads handlers again when you change them',
      '  npx holdfast send ai completion.finished   # in a second terminal: a signed sample event',
      '  npm test',
    ]
    await write(io.out, lines.map((line) => `${line}\n`).join(''))
    return EXIT_OK
  },
})

const forShell = (path: string): string =>
  /^[\w./~][\w./~-]*$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`

async function refuseUsed(directory: string, folder: string): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new CommandError(error.code === 'ENOTDIR' ? `${folder} is not a folder` : messageOf(error))
  })
  const used = names.filter((name) => !HARMLESS.test(name))
  if (used.length === 0) return
  const more = used.length > MAX_NAMED ? ` and ${used.length - MAX_NAMED} more` : ''
  throw new CommandError(`${folder} is not empty: it has ${used.slice(0, MAX_NAMED).join(', ')}${more}`)
}

/** A name that npm accepts, and that needs no escape in JSON. Not that of a dependency: npm installs no package into a project of the same name. */
function nameOf(directory: string): string {
  const name = basename(directory)
    .normalize('NFKD')
    .replaceAll(/\p{Mn}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+/, '')
    .slice(0, 200)
    .replace(/-+$/, '')
  return /^(?:holdfast|typescript|node_modules|favicon\.ico)?$/.test(name) ? 'holdfast-handlers' : name
}

/** For JSON. The path of a tarball becomes one that npm reads from the new folder. */
function dependency(spec: string | undefined, directory: string): string {
  if (spec === undefined) return `^${VERSION}`
  const path = existsSync(spec) ? `file:${relative(directory, resolve(spec))}` : spec
  return JSON.stringify(path).slice(1, -1)
}

/** Template files whose names begin with `_` are those that begin with a dot, which npm would not pack. */
async function writeProject(directory: string, values: Readonly<Record<string, string>>) {
  const made: string[] = []
  const kept: string[] = []
  for (const file of await templateFiles()) {
    const target = file.replace(/^_/, '.')
    const text = await readFile(join(TEMPLATE, file), 'utf8')
    const filled = text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? '')
    await mkdir(dirname(join(directory, target)), { recursive: true })
    const isNew = await writeFile(join(directory, target), filled, { flag: 'wx' }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return false
        throw error
      },
    )
    ;(isNew ? made : kept).push(target)
  }
  return { made, kept }
}

async function templateFiles(): Promise<readonly string[]> {
  const entries = await readdir(TEMPLATE, { recursive: true, withFileTypes: true }).catch(() => [])
  if (entries.length === 0) throw new CommandError('this installation has no templates, as the image has none: use npx')
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(TEMPLATE, join(entry.parentPath, entry.name)))
    .toSorted()
}
