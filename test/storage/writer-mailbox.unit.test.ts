import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WriterMailbox } from '../../src/storage/sqlite/thread-calls.ts'
import type { ToWriter } from '../../src/storage/sqlite/thread-messages.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const numbers: ToWriter = { kind: 'call', call: { id: 1, name: 'recordStats', args: [[]] } }
const settlement: ToWriter = { kind: 'call', call: { id: 2, name: 'settle', args: [[], 0] } }
const damaged: ToWriter = { kind: 'damaged' }

function mailbox() {
  const sent: (readonly ToWriter[])[] = []
  return { sent, mail: new WriterMailbox((messages) => sent.push(messages)) }
}

test('numbers wait for the next message, and go along with it', () => {
  const { sent, mail } = mailbox()
  mail.ride(numbers)
  vi.advanceTimersByTime(4_000)
  expect(sent).toEqual([])
  mail.post(damaged)
  expect(sent).toEqual([[numbers, damaged]])
  vi.advanceTimersByTime(60_000)
  expect(sent).toHaveLength(1)
})

test('numbers go along with settlements that were held', () => {
  const { sent, mail } = mailbox()
  mail.ride(numbers)
  mail.hold(settlement)
  vi.advanceTimersByTime(100)
  expect(sent).toEqual([[settlement, numbers]])
})

test('numbers are sent by themselves after five seconds, and those after them wait again', () => {
  const { sent, mail } = mailbox()
  mail.ride(numbers)
  vi.advanceTimersByTime(5_000)
  expect(sent).toEqual([[numbers]])
  mail.ride(numbers)
  vi.advanceTimersByTime(4_999)
  expect(sent).toHaveLength(1)
  vi.advanceTimersByTime(1)
  expect(sent).toHaveLength(2)
})
