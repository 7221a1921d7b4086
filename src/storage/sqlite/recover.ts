import type { DatabaseSync } from 'node:sqlite'
import { letGoOfTasks } from './claim-tasks.ts'
import { type Damage, DamagedPage } from './damage.ts'
import { takeBackAll } from './lost-leases.ts'
import { isCorruption } from './sqlite-errors.ts'
import { Tally } from './tally.ts'

/** Takes back what a process that is gone had leased. What lies on damaged pages is left as it is. */
export function recover(db: DatabaseSync, damage: Damage, nowMs: number): void {
  const tally = new Tally(db)
  for (;;) {
    try {
      db.exec('BEGIN IMMEDIATE')
      takeBackAll(db, tally, damage, nowMs)
      letGoOfTasks(db, damage, nowMs)
      tally.write()
      db.exec('COMMIT')
      return
    } catch (error) {
      tally.forget()
      if (db.isTransaction) db.exec('ROLLBACK')
      if (isCorruption(error) && damage.mended(error)) continue
      if (!(error instanceof DamagedPage && damage.avoid(error))) throw error
    }
  }
}
