import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Row } from './rows.ts'

/** A condition and the values of its question marks. */
export type Condition = readonly [sql: string, ...values: SQLInputValue[]]

/** Statements differ only in which of a few conditions they have, so that their number is bounded; past this, the oldest goes. */
const MAX_STATEMENTS = 256

/** Statements composed of conditions, each prepared once. */
export class StatementCache {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  all(select: string, conditions: readonly Condition[], tail: string, tailValues: readonly SQLInputValue[]): Row[] {
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`
    const values = conditions.flatMap(([, ...each]) => each)
    return this.#prepare(`${select} ${where} ${tail}`).all(...values, ...tailValues)
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    for (const oldest of this.#statements.keys()) {
      if (this.#statements.size < MAX_STATEMENTS) break
      this.#statements.delete(oldest)
    }
    const statement = this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** A LIKE pattern, with `\` as its escape, for a text that contains this one. LIKE ignores the case of ASCII letters. */
export const likePattern = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`
