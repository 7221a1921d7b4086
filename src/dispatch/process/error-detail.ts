import { inspect } from 'node:util'
import { type ErrorDetail, MAX_ERROR_DEPTH } from '../../domain/errors.ts'
import { MAX_ERROR_LENGTH } from '../../domain/limits.ts'

/** How many errors of an `AggregateError` are kept, and how many errors in all, with their causes. */
const MAX_PARTS = 5
const MAX_ERRORS = 12
/** How many keys of an object, or items of a list, the message shows. */
const MAX_ITEMS = 20
const MAX_FRAMES = 16
const MAX_FRAME_LENGTH = 300
const MAX_CODE_LENGTH = 100

/** Frames of Node, of this directory and of `forward` do not help the author of a handler. */
const OWN_DIRECTORIES = ['./', '../../forward/'].map((path) => new URL(path, import.meta.url).href)
const isHandlerFrame = (frame: string): boolean =>
  frame.startsWith('at ') &&
  !frame.includes('node:') &&
  !OWN_DIRECTORIES.some((directory) => frame.includes(directory)) &&
  !frame.includes('<anonymous>)')

/** The detail of anything that a handler may throw, even if it is no error or cannot be converted to text. Never throws. */
export function detailOf(thrown: unknown): ErrorDetail {
  try {
    return detail(thrown, 0, { left: MAX_ERRORS })
  } catch {
    return { name: typeof thrown, message: 'the handler threw a value that cannot be shown' }
  }
}

/** One line: name, message and code of the error, and the same of its innermost cause. */
export function lineOf(thrown: ErrorDetail): string {
  const root = rootOf(thrown)
  const text = root === thrown ? shown(thrown) : `${shown(thrown)}, caused by ${shown(root)}`
  return text.slice(0, MAX_ERROR_LENGTH)
}

function rootOf(thrown: ErrorDetail): ErrorDetail {
  const inner = thrown.cause ?? thrown.errors?.[0]
  return inner === undefined ? thrown : rootOf(inner)
}

/** Only a class name says more than the message does: `Error` or `string` does not. */
const hasNoName = (name: string): boolean => name === 'Error' || !/^\p{Lu}/u.test(name)

function shown({ name, message, code }: ErrorDetail): string {
  const text = hasNoName(name) ? message : message === '' ? name : `${name}: ${message}`
  return code === undefined || text.includes(code) ? text || 'an error without a message' : `${text || name} (${code})`
}

function detail(thrown: unknown, depth: number, budget: { left: number }): ErrorDetail {
  budget.left--
  if (!(thrown instanceof Error)) return { name: nameOf(thrown), message: inspected(thrown) }
  const [cause, code, errors] = [read(thrown, 'cause'), read(thrown, 'code'), read(thrown, 'errors')]
  const frames = framesOf(read(thrown, 'stack'))
  const isDeep = depth >= MAX_ERROR_DEPTH || budget.left <= 0
  return {
    name: cut(nameOfError(thrown), MAX_CODE_LENGTH),
    message: cut(read(thrown, 'message') ?? 'its message cannot be read', MAX_ERROR_LENGTH),
    ...((typeof code === 'string' || typeof code === 'number') && { code: cut(code, MAX_CODE_LENGTH) }),
    ...(frames.length > 0 && { stack: frames }),
    ...(cause !== undefined && cause !== null && !isDeep && { cause: detail(cause, depth + 1, budget) }),
    ...(Array.isArray(errors) &&
      errors.length > 0 &&
      !isDeep && {
        errors: errors.slice(0, Math.min(MAX_PARTS, budget.left)).map((part) => detail(part, depth + 1, budget)),
      }),
  }
}

const cut = (text: unknown, length: number): string => String(text).slice(0, length)

const framesOf = (stack: unknown): readonly string[] =>
  typeof stack !== 'string'
    ? []
    : stack
        .split('\n')
        .map((line) => line.trim())
        .filter(isHandlerFrame)
        .slice(0, MAX_FRAMES)
        .map((line) => line.slice(0, MAX_FRAME_LENGTH).replace('file://', ''))

/** Most classes of errors set no `name`: then the class's own name counts. */
function nameOfError(thrown: Error): unknown {
  const [name, own] = [read(thrown, 'name'), read(thrown, 'constructor')]
  return name === 'Error' && typeof own === 'function' && own.name !== '' ? own.name : (name ?? 'Error')
}

/** A getter may throw. */
function read(thrown: Error, key: string): unknown {
  try {
    return (thrown as Error & Record<string, unknown>)[key]
  } catch {
    return undefined
  }
}

const nameOf = (thrown: unknown): string => (thrown === null ? 'null' : typeof thrown)

const inspected = (thrown: unknown): string =>
  typeof thrown === 'string'
    ? cut(thrown, MAX_ERROR_LENGTH)
    : cut(inspect(sampleOf(thrown, 0), { depth: 3, maxStringLength: 500, breakLength: 120 }), MAX_ERROR_LENGTH)

/** The part of a plain object or list that the message shows. To inspect a whole value may take seconds. */
function sampleOf(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.slice(0, 1_000)
  if (Array.isArray(value)) return depth > 2 ? [] : value.slice(0, MAX_ITEMS).map((item) => sampleOf(item, depth + 1))
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  const sample: Record<string, unknown> = {}
  let items = 0
  for (const key in value) {
    if (depth > 2 || items++ >= MAX_ITEMS) break
    sample[key] = sampleOf((value as Record<string, unknown>)[key], depth + 1)
  }
  return sample
}
