import type { DatabaseSync } from 'node:sqlite'
import { type AttemptCause, MAX_CAUSES, MAX_CAUSES_OF_HANDLER, OTHER_CAUSES } from '../../domain/cause.ts'
import { type DeadCauseFilter, type DeadCauses, type DeadPosition, MAX_COUNTED } from '../../domain/dead-letters.ts'
import {
  AFTER_ALL,
  type CauseRow,
  deadCauseOf,
  hoursUntil,
  meansUnnamed,
  mostFirst,
  type UnnamedRow,
} from '../shared/causes.ts'
import { optional } from '../shared/list-pages.ts'
import type { Damage } from './damage.ts'
import { unlessDamaged } from './errors.ts'
import { StatementCache } from './statement-cache.ts'

/** Records causes that are not known yet, and that the others were seen again. Returns their keys. */
export function prepareRecordCauses(db: DatabaseSync): (causes: readonly AttemptCause[], nowMs: number) => number[] {
  const seen = db.prepare(
    'UPDATE cause SET seen_at = max(seen_at, ?) WHERE id = ? AND handler = ? AND source = ? RETURNING key',
  )
  const count = db.prepare(
    'SELECT count(*) AS n, count(*) FILTER (WHERE handler = ?) AS of_handler FROM cause INDEXED BY cause_by_id',
  )
  const insert = db.prepare(`
    INSERT INTO cause (id, handler, source, signature, at, first_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) RETURNING key
  `)

  function isFull(handler: string): boolean {
    const { n, of_handler: ofHandler } = count.get(handler) ?? {}
    return Number(n) >= MAX_CAUSES || Number(ofHandler) >= MAX_CAUSES_OF_HANDLER
  }

  function record({ id, handler, source, signature, at }: AttemptCause, nowMs: number): number {
    const known = seen.get(nowMs, id, handler, source)?.key
    if (known !== undefined) return Number(known)
    if (id !== OTHER_CAUSES.id && isFull(handler)) return record({ ...OTHER_CAUSES, handler, source }, nowMs)
    return Number(insert.get(id, handler, source, signature, at ?? null, nowMs)?.key)
  }

  return (causes, nowMs) => causes.map((cause) => record(cause, nowMs))
}

/** Dead deliveries without a cause, the last to die first, with the source and the last error of each. */
export function prepareFindUnnamed(db: DatabaseSync) {
  const select = db.prepare(`
    SELECT key, due_at, handler, last_error AS error FROM delivery INDEXED BY delivery_cause
    WHERE state = 'dead' AND cause IS NULL AND due_at <= ?1 AND (due_at < ?1 OR key < ?2) ORDER BY due_at DESC, key DESC LIMIT ?3
  `)
  const sourceOf = db.prepare('SELECT source FROM event WHERE key = ? / 1024')
  const detailOf = db.prepare('SELECT error, detail FROM attempt WHERE delivery = ? ORDER BY ordinal DESC LIMIT 1')

  return (limit: number, { diedAtMs, key }: DeadPosition = AFTER_ALL): readonly UnnamedRow[] =>
    (select.all(diedAtMs, key, limit) as Omit<UnnamedRow, 'source' | 'detail'>[]).map((row) => {
      const source = unlessDamaged(() => sourceOf.get(row.key))?.source
      const last = unlessDamaged(() => detailOf.get(row.key))
      const detail = last?.error === row.error ? last?.detail : null
      return {
        ...row,
        source: typeof source === 'string' ? source : null,
        detail: typeof detail === 'string' ? detail : null,
      }
    })
}

export function prepareNameCauses(db: DatabaseSync, damage: Damage) {
  const update = db.prepare("UPDATE delivery SET cause = ? WHERE key = ? AND state = 'dead' AND cause IS NULL")
  return (keys: readonly number[], causes: readonly number[]): number =>
    keys.reduce((sum, key, at) => {
      const run = () => Number(update.run(causes[at] ?? null, key).changes)
      return sum + damage.around('the cause of delivery', key, run, () => 0)
    }, 0)
}

export function preparePruneCauses(db: DatabaseSync): (seenBeforeMs: number) => number {
  // The row with the greatest key stays, so that no key is given twice.
  const remove = db.prepare(`
    DELETE FROM cause WHERE seen_at < ? AND key < (SELECT max(key) FROM cause) AND NOT EXISTS (
      SELECT 1 FROM delivery INDEXED BY delivery_cause WHERE delivery.cause = cause.key AND delivery.state = 'dead'
    )
  `)
  return (seenBeforeMs) => Number(remove.run(seenBeforeMs).changes)
}

export function prepareDeadCauses(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const of =
    "FROM delivery INDEXED BY delivery_cause WHERE state = 'dead' AND cause IS ? AND due_at >= ? AND due_at < ?"
  const first = db.prepare(`SELECT due_at ${of} ORDER BY due_at LIMIT 1`)
  const last = db.prepare(`SELECT due_at ${of} ORDER BY due_at DESC LIMIT 1`)
  // Without a subquery the count reads the index at full speed.
  const count = db.prepare(`SELECT count(*) AS n ${of}`)
  const nth = db.prepare(`SELECT due_at ${of} ORDER BY due_at DESC LIMIT 1 OFFSET ${MAX_COUNTED}`)

  const numberOf = (cause: number | null, sinceMs: number, untilMs: number): number =>
    nth.get(cause, sinceMs, untilMs) === undefined ? Number(count.get(cause, sinceMs, untilMs)?.n) : MAX_COUNTED + 1

  function hourlyOf(cause: number, firstMs: number, lastMs: number, nowMs: number): number[] {
    return hoursUntil(nowMs).map(({ fromMs, toMs }) => {
      const [from, to] = [Math.max(fromMs, firstMs), Math.min(toMs, lastMs + 1)]
      return from >= to ? 0 : Math.min(numberOf(cause, from, to), MAX_COUNTED)
    })
  }

  return (filter: DeadCauseFilter, nowMs: number): DeadCauses => {
    const { handler, source, cause, sinceMs = Number.MIN_SAFE_INTEGER, untilMs = Number.MAX_SAFE_INTEGER } = filter
    const rows = statements.all(
      'SELECT * FROM cause',
      [...optional('id = ?', cause), ...optional('handler = ?', handler), ...optional('source = ?', source)],
      'ORDER BY key',
      [],
    ) as CauseRow[]
    const causes = rows.flatMap((row) => {
      const firstAt = first.get(row.key, sinceMs, untilMs)?.due_at
      if (firstAt === undefined) return []
      const lastMs = Number(last.get(row.key, sinceMs, untilMs)?.due_at)
      const numbers = { first: Number(firstAt), last: lastMs, count: numberOf(row.key, sinceMs, untilMs) }
      return [deadCauseOf(row, numbers, hourlyOf(row.key, numbers.first, lastMs, nowMs))]
    })
    const left = meansUnnamed(filter) ? Math.min(numberOf(null, sinceMs, untilMs), MAX_COUNTED) : 0
    return { causes: mostFirst(causes), unnamed: left }
  }
}
