import type { ErrorDetail } from '../domain/errors.ts'
import { printable } from './table.ts'

/** What was thrown, with its stack, cause and parts, each a step further in. */
export function thrown({ name, message, code, stack, cause, errors }: ErrorDetail, indent: string): string {
  const [first = '', ...more] = message.split('\n')
  const line = (text: string): string => `${indent}${text}\n`
  return [
    line(`${printable(name)}: ${printable(first)}${code === undefined ? '' : ` (${printable(code)})`}`),
    ...more.map((text) => line(`  ${printable(text)}`)),
    ...(stack ?? []).map((frame) => line(`    ${printable(frame)}`)),
    ...(cause === undefined ? [] : [line('caused by'), thrown(cause, `${indent}  `)]),
    ...(errors ?? []).flatMap((part) => [line('one of its parts'), thrown(part, `${indent}  `)]),
  ].join('')
}
