import type { ErrorDetail } from '../domain/error-detail.ts'

/** What was thrown, with its stack, cause and parts, each a step further in. */
export function thrown({ name, message, code, stack, cause, errors }: ErrorDetail, indent: string): string {
  const lines = message.split('\n')
  const [first = '', ...more] = lines
  return [
    `${indent}${name}: ${first}${code === undefined ? '' : ` (${code})`}\n`,
    ...more.map((line) => `${indent}  ${line}\n`),
    ...(stack ?? []).map((frame) => `${indent}    ${frame}\n`),
    ...(cause === undefined ? [] : [`${indent}caused by\n`, thrown(cause, `${indent}  `)]),
    ...(errors ?? []).flatMap((part) => [`${indent}one of its parts\n`, thrown(part, `${indent}  `)]),
  ].join('')
}
