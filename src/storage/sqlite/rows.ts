import type { SQLOutputValue } from 'node:sqlite'

/** A row as `node:sqlite` gives it. The tables are STRICT, so that it can be read as the row type of its columns. */
export type Row = Readonly<Record<string, SQLOutputValue>>
