import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters, styleText } from 'node:util'
import type { LogStyle } from '../domain/config.ts'
import type { ErrorDetail } from '../domain/errors.ts'

/** Turns a line of JSON into lines that people read. */
export type LineFormat = (line: string) => string

type Line = Readonly<Record<string, unknown>>
type Paint = (style: 'gray' | 'red' | 'bold', text: string) => string

/** The local time. */
const TIME_FORMAT = 'SYS:HH:MM:ss.l'
const LEVEL_WIDTH = 5
const INDENT = ' '.repeat(4)

/** What a line is about: it comes last, after the fields that the line itself adds. */
const ABOUT = ['handler', 'attempt', 'type', 'source', 'uid', 'reqId']
const NO_FIELDS = new Set(['time', 'received_at', 'level', 'msg', ...ABOUT])

/** The format of this style; undefined for JSON, which stays as it is. Loads pino-pretty only if the style needs it. */
export async function lineFormat(style: LogStyle): Promise<LineFormat | undefined> {
  if (style === 'json') return undefined
  const { prettyFactory } = await import('pino-pretty')
  const paint: Paint = (format, text) =>
    style === 'coloured' ? styleText(format, text, { validateStream: false }) : text
  const format = prettyFactory({
    colorize: style === 'coloured',
    // The text has its own colours.
    customColors: 'message:reset',
    useOnlyCustomProps: false,
    translateTime: TIME_FORMAT,
    hideObject: true,
    messageFormat: (line) => textOf(line, paint),
    customPrettifiers: {
      time: (time) => paint('gray', plain(time)),
      level: (_level, _key, _line, { label, labelColorized }) =>
        labelColorized.padStart(LEVEL_WIDTH + labelColorized.length - label.length),
    },
  })
  return (line) => {
    try {
      return format(line)
    } catch {
      return line
    }
  }
}

const WARN = 40

function textOf(line: Line, paint: Paint): string {
  const fields = Object.entries(line).filter(([key]) => !NO_FIELDS.has(key))
  const errors = fields.flatMap(([, value]) => (isError(value) ? [value] : []))
  // The line of an attempt has its error as a text too.
  const own = fields.filter(([key, value]) => !isError(value) && !(key === 'error' && errors.length > 0))
  const about = ABOUT.filter((key) => key in line && !saysNothing(line, key))
  const message = visible(plain(line.msg ?? '')).replaceAll('\n', `\n${INDENT}`)
  const parts = [
    Number(line.level) >= WARN ? paint('bold', message) : message,
    ...own.map(([key, value]) => `${paint('gray', `${visible(key)}=`)}${valueText(value)}`),
    ...about.map((key) => paint('gray', `${key}=${valueText(line[key])}`)),
  ]
  const below = errors.flatMap((error) => errorLines(error, paint)).map((each) => `${INDENT}${each}`)
  return [parts.filter((part) => part !== '').join('  '), ...below].join('\n')
}

/** Most attempts are the first, most names of handlers have the type, and a uid names a request too. */
function saysNothing({ handler, attempt, type, uid }: Line, key: string): boolean {
  if (key === 'attempt') return attempt === 1
  if (key === 'type') return typeof handler === 'string' && handler.endsWith(`:${String(type)}`)
  return key === 'reqId' && uid !== undefined
}

const isObject = (value: unknown): value is Line => typeof value === 'object' && value !== null

const plain = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined'))

/** Without control characters, through which the sender of an event could control the operator's terminal. */
const visible = (text: string): string => stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]/gu, '')

/** Bare if it reads as one word, else as JSON. */
function valueText(value: unknown): string {
  if (Array.isArray(value) && value.length > 0 && value.every((item) => !isObject(item)))
    return value.map(valueText).join(',')
  if (typeof value === 'string' && /^[^\s"=,\p{Cc}]+$/u.test(value)) return value
  return visible(JSON.stringify(value) ?? 'undefined')
}

/** An error as pino writes it, or one of `ErrorDetail`. */
const isError = (value: unknown): value is Line =>
  isObject(value) &&
  typeof value.message === 'string' &&
  (typeof value.stack === 'string' || typeof value.name === 'string')

function errorLines(error: Line, paint: Paint): readonly string[] {
  const { type: _type, message: _message, stack, aggregateErrors, ...others } = error
  if (typeof stack !== 'string') return detailLines(error as unknown as ErrorDetail, paint, '')
  const lines = visible(stack).split('\n')
  const foreign = lines.filter((each) => isFrame(each) && !isOwn(each))
  const fields = Object.entries(others).map(([key, value]) => `${visible(key)}=${valueText(value)}`)
  const parts = Array.isArray(aggregateErrors) ? aggregateErrors.filter(isError) : []
  return [
    // The stack has the message and the causes.
    ...lines
      .filter((each) => !isFrame(each) || foreign.length === 0 || foreign.includes(each))
      .map((each) => (isFrame(each) ? frameLine(each, paint) : paint('red', each))),
    ...(fields.length > 0 ? [paint('gray', fields.join('  '))] : []),
    ...parts.flatMap((part) => errorLines(part, paint).map((each) => `${INDENT}${each}`)),
  ]
}

function detailLines(detail: ErrorDetail, paint: Paint, before: string): readonly string[] {
  const { name, message, code, stack = [], cause, errors = [] } = detail
  const about = `${before}${name}${code === undefined ? '' : ` [${code}]`}: ${message}`
  return [
    ...visible(about)
      .split('\n')
      .map((each) => paint('red', each)),
    ...stack.map((frame) => frameLine(visible(frame), paint)),
    ...(cause === undefined ? [] : detailLines(cause, paint, 'caused by ')),
    ...errors.flatMap((part) => detailLines(part, paint, '').map((each) => `${INDENT}${each}`)),
  ]
}

const isFrame = (text: string): boolean => /^\s*at /.test(text)

/** Frames of Node and of Holdfast are left out where there are others. */
const OWN_CODE = fileURLToPath(new URL('../', import.meta.url))
const isOwn = (frame: string): boolean => frame.includes('node:') || frame.includes(OWN_CODE)

const workingDirectory = `${process.cwd()}/`

const frameLine = (frame: string, paint: Paint): string =>
  paint('gray', INDENT + frame.trim().replace('file://', '').replace(workingDirectory, ''))
