import type { Connections, Row, Value } from './connections.ts'

/** A condition and the values of its question marks. */
export type Condition = readonly [sql: string, ...values: Value[]]

export const optional = (sql: string, value: Value | undefined): readonly Condition[] =>
  value === undefined ? [] : [[sql, value]]

/** Reads rows by composed conditions. No value ever becomes part of the text. */
export function select<Result extends Row>(
  connections: Connections,
  columns: string,
  conditions: readonly Condition[],
  tail: string,
  tailValues: readonly Value[],
): Promise<Result[]> {
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`
  const values = [...conditions.flatMap(([, ...each]) => each), ...tailValues]
  let at = 0
  const text = `${columns} ${where} ${tail}`.replace(/\?/g, () => `$${++at}`)
  return connections.run<Result>('read', text, values)
}

const escaped = (text: string): string => text.replace(/[\\%_]/g, '\\$&')

/** A LIKE pattern, with `\` as its escape, for a text that contains this one. */
export const containing = (text: string): string => `%${escaped(text)}%`

/** One for an event-type pattern, in which `*` matches anything. */
export const matching = (pattern: string): string => escaped(pattern).replace(/\*+/g, '%')
