import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { type Condition, composeStatement } from '../shared/list-pages.ts'

/**
 * Statements differ only in which of a few conditions they have, so that their number is bounded; with more, the oldest is
 * dropped.
 */
const MAX_STATEMENTS = 256

export type SqlCondition = Condition<SQLInputValue>

/** Statements composed of conditions, each prepared once. */
export class StatementCache {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  all(select: string, conditions: readonly SqlCondition[], tail: string, tailValues: readonly SQLInputValue[]): Row[] {
    const { sql, values } = composeStatement(select, conditions, tail, tailValues)
    return this.#prepare(sql).all(...values)
  }

  /** Each row as an array of its columns. The rows are to be read before the statement is used again. */
  iterate(
    select: string,
    conditions: readonly SqlCondition[],
    tail: string,
    tailValues: readonly SQLInputValue[],
  ): IterableIterator<unknown> {
    const { sql, values } = composeStatement(select, conditions, tail, tailValues)
    const statement = this.#prepare(`${sql} -- arrays`)
    statement.setReturnArrays(true)
    return statement.iterate(...values)
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

/** A row as `node:sqlite` gives it. The tables are STRICT, so that it can be read as the row type of its columns. */
export type Row = Readonly<Record<string, SQLOutputValue>>
