import { execFile } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { messageOf } from '../domain/errors.ts'

/** A place in a file; line and column count from 1, as compilers and editors count them. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** What is wrong with a module, and where: in the module itself, or in a file that it imports. Plain data. */
export interface ModuleFault {
  readonly message: string
  readonly place?: Place | undefined
}

/** A module did not load, and the thread that loaded it found the place. */
export class ModuleFaultError extends Error {
  override readonly name = 'ModuleFaultError'
  readonly place: Place | undefined

  constructor({ message, place }: ModuleFault) {
    super(message)
    this.place = place
  }
}

// Read here, because a module may change it.
const workingDirectory = process.cwd()

/** The path as an operator would write it: relative if the file is inside the working directory. */
export function shownPath(file: string): string {
  const path = relative(workingDirectory, file)
  return path.startsWith('..') || path === '' ? file : path
}

/** `<file>:<line>:<column>: <message>` as compilers write it; with the module's name before it if the place is in another file. */
export function faultText(module: string, { message, place }: ModuleFault): string {
  if (place === undefined) return `${shownPath(module)}: ${message}`
  const at = placeText(place)
  return place.file === module ? `${at}: ${message}` : `${shownPath(module)}: ${at}: ${message}`
}

export const placeText = ({ file, line, column }: Place): string => `${shownPath(file)}:${line}:${column}`

/** The fault of a module for what was thrown when it was loaded. Never rejects. */
export async function faultOf(module: string, thrown: unknown): Promise<ModuleFault> {
  const text = messageOf(thrown).replace(IMPORTER, '')
  const message = text + adviceOn(text)
  if (thrown instanceof ModuleFaultError) return { message, place: thrown.place }
  try {
    return { message, place: await placeOf(module, thrown) }
  } catch {
    return { message }
  }
}

const NO_FILE = /^Cannot find module '(?<path>\/.+)'$/
const NO_EXPORT = /^The requested module 'holdfast' does not provide an export named '[A-Z]/

/** For the faults of imports that TypeScript and bundlers accept, and Node does not. */
function adviceOn(message: string): string {
  if (NO_EXPORT.test(message)) return ': a type needs import type'
  const path = NO_FILE.exec(message)?.groups?.path
  if (path === undefined) return ''
  const others = [path.replace(/\.([cm]?)js$/, '.$1ts'), `${path}.ts`, `${path}.js`]
  const other = others.find((file) => file !== path && existsSync(file))
  return other === undefined ? '' : `: the file is ${relative(dirname(path), other)}, and Node needs its exact name`
}

/** Node names the file that a symbolic link leads to. */
async function placeOf(module: string, thrown: unknown): Promise<Place | undefined> {
  if (!(thrown instanceof Error)) return undefined
  const file = realpathSync(module)
  const place = await placeOfError(file, thrown, String(thrown.stack))
  return place?.file === file ? { ...place, file: module } : place
}

async function placeOfError(file: string, error: Error, stack: string): Promise<Place | undefined> {
  const inStack = SOURCE_LINE.exec(stack)
  if (inStack?.index === 0) return placeOfLine(inStack, isFromStripper(error))
  const place = (await placeOfImport(file, error)) ?? placeOfFrame(stack, dirname(file))
  return place ?? (error instanceof SyntaxError ? placeByLinking(file, error.message) : undefined)
}

/** Where the module calls Holdfast: `call` is an error that was made during the call. */
export function placeOfCall(module: string, call: Error): Place | undefined {
  const file = realpathSync(module)
  const place = placeOfFrame(String(call.stack), dirname(file))
  return place?.file === file ? { ...place, file: module } : place
}

const DEFAULT_EXPORT = /^[^\S\n]*export\s+default\b|\bas\s+default\b/m

/** Where the module exports its default, for faults of the exported object. */
export async function placeOfDefaultExport(module: string): Promise<Place | undefined> {
  const source = await readFile(module, 'utf8').catch(() => '')
  const found = DEFAULT_EXPORT.exec(source)
  return found === null ? undefined : placeAt(module, source, found.index + found[0].search(/\S/))
}

function placeAt(file: string, source: string, offset: number): Place {
  const before = source.slice(0, offset).split('\n')
  return { file, line: before.length, column: (before.at(-1) ?? '').length + 1 }
}

/** Node and V8 write a line of source so: file and line, up to eight lines of source, and `^` below the fault. */
const SOURCE_LINE =
  /^(?<file>(?:file:\/\/)?\/.+):(?<line>\d+)\n(?:(?<source>(?:.*\n){1,8}?)(?<before>[ \t]*)\^+[ \t]*$)?/m

async function placeOfLine({ groups = {} }: RegExpExecArray, isStripped: boolean): Promise<Place> {
  const { before } = groups
  const [file, line] = [pathOf(groups.file ?? ''), Number(groups.line)]
  const source = (await readFile(file, 'utf8')).split('\n')[line - 1] ?? ''
  if (before === undefined) return { file, line, column: Math.max(0, source.search(/\S/)) + 1 }
  return { file, line, column: (isStripped ? unitsOf(source, before.length) : before.length) + 1 }
}

/** The stripper of types shows a line as a terminal would, so that a column of it is not yet one of the file. */
const isFromStripper = (error: Error): boolean => codeOf(error).endsWith('_TYPESCRIPT_SYNTAX')

const codeOf = (error: Error): string => String((error as { readonly code?: unknown }).code)

const TAB_CELLS = 4
const WIDE = /[\p{Emoji_Presentation}ᄀ-ᅟ⺀-꓏가-힣豈-﫿︰-﹯＀-｠￠-￦]/u

function unitsOf(source: string, cells: number): number {
  let [units, left] = [0, cells]
  for (const character of source) {
    if (left <= 0) break
    left -= character === '\t' ? TAB_CELLS - ((cells - left) % TAB_CELLS) : WIDE.test(character) ? 2 : 1
    units += character.length
  }
  return units
}

const IMPORTER = / imported from (?<file>\/.+|file:\/\/.+)$/
const SPECIFIER = /\b(?:from|import)\b\s*\(?\s*(['"])(?<specifier>(?:(?!\1).)+)\1/g

const IMPORT_CODE = /^ERR_(?:MODULE_NOT_FOUND|PACKAGE_|INVALID_(?:MODULE|PACKAGE)_|UNSUPPORTED_|IMPORT_|UNKNOWN_)/
const TARGET =
  /(['"])(?<target>.+?)\1|(?<target>node:\S+)| for (?<target>\/.+)$|node_modules\/(?<target>(?:@[^/]+\/)?[^/]+)\/package\.json/g

/** The specifier in the importing file, if the error is about an import that cannot be resolved or loaded. */
async function placeOfImport(module: string, error: Error): Promise<Place | undefined> {
  if (!IMPORT_CODE.test(codeOf(error))) return undefined
  const importer = pathOf(IMPORTER.exec(error.message)?.groups?.file ?? module)
  const targets = [...error.message.matchAll(TARGET)].map(({ groups }) => pathOf(groups?.target ?? ''))
  const source = await readFile(importer, 'utf8')
  for (const { groups = {}, index, 0: found } of source.matchAll(SPECIFIER)) {
    const specifier = groups.specifier ?? ''
    const path = /^(?:\.{0,2}\/|file:)/.test(specifier) ? resolve(dirname(importer), pathOf(specifier)) : specifier
    const isComment = /^\s*(?:\/\/|\*)/.test(source.slice(source.lastIndexOf('\n', index) + 1, index + 2))
    if (!isComment && targets.some((target) => path === target || path.startsWith(`${target}/`)))
      return placeAt(importer, source, index + found.length - specifier.length - 2)
  }
  return undefined
}

const pathOf = (urlOrPath: string): string => (urlOrPath.startsWith('file:') ? fileURLToPath(urlOrPath) : urlOrPath)

const FRAME = /(?:^at |\(|async )(?<file>(?:file:\/\/)?\/.*):(?<line>\d+):(?<column>\d+)\)?$/
const OWN_CODE = fileURLToPath(new URL('../', import.meta.url))

/** The innermost frame of the user's own code; else of a package, since Node and Holdfast only call them. */
function placeOfFrame(stack: string, directory: string): Place | undefined {
  const places = stack.split('\n').flatMap((frame) => {
    const { groups } = FRAME.exec(frame.trim()) ?? {}
    if (groups === undefined) return []
    return { file: pathOf(groups.file ?? ''), line: Number(groups.line), column: Number(groups.column) }
  })
  const isInside = (file: string): boolean => file.startsWith(directory + sep)
  const others = places.filter(({ file }) => isInside(file) || !file.startsWith(OWN_CODE))
  const isPackage = (file: string): boolean =>
    (isInside(file) ? file.slice(directory.length) : file).includes('/node_modules/')
  return others.find(({ file }) => !isPackage(file)) ?? others[0]
}

const MAX_LINKING_MS = 5_000
/** Registers the hooks with which the module was loaded. */
const HOOKS = `data:text/javascript,import{registerModuleHooks}from"${new URL('./module-hooks.ts', import.meta.url).href}";registerModuleHooks()`

/**
 * V8 tells the place of a syntax error in JavaScript only where it ends a process. So another process links the module with all that
 * it imports, which finds the same error, and would end before it ran any of them.
 */
async function placeByLinking(module: string, message: string): Promise<Place | undefined> {
  const imports = ['data:text/javascript,throw null', pathToFileURL(module).href]
  const program = imports.map((each) => `import ${JSON.stringify(each)}`).join('\n')
  const arguments_ = [...process.execArgv, '--import', HOOKS, '--input-type=module', '--eval', program]
  const linking = promisify(execFile)(process.execPath, arguments_, { timeout: MAX_LINKING_MS })
  const output = await linking.then(
    () => '',
    ({ stderr }: { readonly stderr?: unknown }) => String(stderr),
  )
  const found = output.includes(message) ? SOURCE_LINE.exec(output) : null
  return found === null ? undefined : placeOfLine(found, false)
}
