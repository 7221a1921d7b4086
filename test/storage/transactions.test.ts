import { expect, onTestFinished, test } from 'vitest'
import { openForWriting } from '../../src/storage/sqlite/connection.ts'
import { Damage } from '../../src/storage/sqlite/damage.ts'
import { migrate } from '../../src/storage/sqlite/migrate.ts'
import { prepareRepeatCounter } from '../../src/storage/sqlite/repeats.ts'
import { Transactions } from '../../src/storage/sqlite/transactions.ts'
import { START_MS } from '../contract/store-samples.ts'
import { commitsInLog, ownPath } from './database-file.ts'

const nothing = () => {}

function opened() {
  const path = ownPath()
  const db = openForWriting(path)
  onTestFinished(() => db.close())
  migrate(db, path)
  const damage = new Damage(nothing, () => false)
  const repeats = prepareRepeatCounter(db, damage)
  const around = { begun: nothing, ending: nothing, committed: nothing, rolledBack: nothing }
  const transactions = new Transactions(db, { ...around, repeats, avoid: (found) => damage.avoid(found) })
  const before = commitsInLog(path)
  return {
    transactions,
    write: () => db.exec("UPDATE watermark SET value = value + 1 WHERE name = 'probe'"),
    resend: () => repeats.note(7, START_MS, null),
    commits: () => commitsInLog(path) - before,
    isFsynced: () => db.prepare('PRAGMA synchronous').get()?.synchronous === 2,
    times: () => db.prepare('SELECT n FROM event_repeat WHERE key = 7').get()?.n,
  }
}

test('a commit that writes nothing fsyncs nothing, so that the commits before it are as safe as they were', () => {
  const { transactions, write } = opened()
  transactions.run('NORMAL', write)
  transactions.run('FULL', nothing)
  expect(transactions.isSynced()).toBe(false)
  transactions.run('FULL', write)
  expect(transactions.isSynced()).toBe(true)
  transactions.run('NORMAL', nothing)
  expect(transactions.isSynced()).toBe(true)
  transactions.run('NORMAL', write)
  expect(transactions.isSynced()).toBe(false)
})

test('events that were sent again are counted in the commit that found them, if it writes anyway', () => {
  const { transactions, write, resend, commits, times } = opened()
  transactions.run('FULL', () => {
    write()
    resend()
    resend()
  })
  transactions.countRepeats()
  expect([times(), commits(), transactions.isSynced()]).toEqual([2, 1, true])
})

test('events that were sent again are counted in a commit of their own, without an fsync, if the one that found them wrote nothing', () => {
  const { transactions, write, resend, commits, isFsynced, times } = opened()
  transactions.run('FULL', write)
  transactions.run('FULL', resend)
  expect(commits()).toBe(1)
  transactions.countRepeats()
  transactions.countRepeats()
  expect([times(), commits(), isFsynced(), transactions.isSynced()]).toEqual([1, 2, false, false])
})

test('events of a commit that failed are not counted as sent again', () => {
  const { transactions, write, resend, times } = opened()
  const failing = () => {
    resend()
    throw new Error('no')
  }
  expect(() => transactions.run('FULL', failing)).toThrow('no')
  transactions.run('FULL', write)
  transactions.countRepeats()
  expect(times()).toBeUndefined()
})
