import pino from 'pino'
import { expect, test } from 'vitest'
import { WebhookSilence } from '../../src/tasks/webhook-silence.ts'

/** A process to which no webhook comes, while some may come to others. */
function startWorker() {
  const others: { lastKeptAtMs: number | undefined } = { lastKeptAtMs: undefined }
  let nowMs = 1_000
  const logs: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line).msg) })
  const silence = new WebhookSilence(
    async () => others.lastKeptAtMs,
    () => ++nowMs,
    log,
  )
  const endByPoll = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) await silence.endedByPoll('ai')
  }
  const told = (text: string): number => logs.filter((msg) => msg.includes(text)).length
  return {
    silence,
    endByPoll,
    /** A webhook comes to another process. */
    webhook: () => {
      others.lastKeptAtMs = ++nowMs
    },
    told: () => ({ silences: told('do not come'), ends: told('come again') }),
  }
}

test('a process that gets no webhooks itself warns of no silence while other processes get them', async () => {
  const { silence, endByPoll, webhook, told } = startWorker()
  for (let n = 0; n < 6; n++) {
    await endByPoll(2)
    webhook()
  }
  expect(told()).toEqual({ silences: 0, ends: 0 })
  expect(await silence.silentSinceMs('ai')).toBeUndefined()
})

test('each process warns once of a silence, and logs its end and the next silence', async () => {
  const { silence, endByPoll, webhook, told } = startWorker()
  webhook()
  await endByPoll(9)
  expect(told()).toEqual({ silences: 1, ends: 0 })
  expect(await silence.silentSinceMs('ai')).toBeDefined()
  webhook()
  expect(await silence.silentSinceMs('ai')).toBeUndefined()
  expect(told()).toEqual({ silences: 1, ends: 1 })
  await endByPoll(3)
  expect(told()).toEqual({ silences: 2, ends: 1 })
})

test('a process that gets no webhooks itself notices that a silence is over', async () => {
  const { endByPoll, webhook, told } = startWorker()
  await endByPoll(3)
  webhook()
  await endByPoll(3)
  expect(told()).toEqual({ silences: 1, ends: 1 })
  await endByPoll(3)
  expect(told()).toEqual({ silences: 2, ends: 1 })
})
