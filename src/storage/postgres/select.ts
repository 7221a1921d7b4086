import { type Condition, composed } from '../records/search.ts'
import type { Connections, Row, Value } from './connections.ts'

/** Reads rows by composed conditions. */
export function select<Result extends Row>(
  connections: Connections,
  columns: string,
  conditions: readonly Condition<Value>[],
  tail: string,
  tailValues: readonly Value[],
): Promise<Result[]> {
  const { sql, values } = composed(columns, conditions, tail, tailValues)
  let at = 0
  return connections.run<Result>(
    'read',
    sql.replace(/\?/g, () => `$${++at}`),
    values,
  )
}
