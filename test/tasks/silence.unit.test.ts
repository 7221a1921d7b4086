import pino from 'pino'
import { expect, test } from 'vitest'
import { PushChannels } from '../../src/tasks/webhook-silence.ts'

/** A process to which no webhook comes, while some may come to others. */
function startWorker() {
  const others: { lastKeptAtMs: number | undefined } = { lastKeptAtMs: undefined }
  let nowMs = 1_000
  const logs: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line).msg) })
  const channels = new PushChannels(
    async () => others.lastKeptAtMs,
    () => ++nowMs,
    log,
  )
  const recover = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) await channels.recovered('ai')
  }
  const told = (text: string): number => logs.filter((msg) => msg.includes(text)).length
  return {
    channels,
    recover,
    /** A webhook comes to another process. */
    webhook: () => {
      others.lastKeptAtMs = ++nowMs
    },
    told: () => ({ silences: told('do not come'), ends: told('come again') }),
  }
}

test('a process that hears no webhooks itself says nothing while they come to others', async () => {
  const { channels, recover, webhook, told } = startWorker()
  for (let n = 0; n < 6; n++) {
    await recover(2)
    webhook()
  }
  expect(told()).toEqual({ silences: 0, ends: 0 })
  expect(await channels.silentSinceMs('ai')).toBeUndefined()
})

test('it tells of silence everywhere, once, of its end, and of the next', async () => {
  const { channels, recover, webhook, told } = startWorker()
  webhook()
  await recover(9)
  expect(told()).toEqual({ silences: 1, ends: 0 })
  expect(await channels.silentSinceMs('ai')).toBeDefined()
  webhook()
  expect(await channels.silentSinceMs('ai')).toBeUndefined()
  expect(told()).toEqual({ silences: 1, ends: 1 })
  await recover(3)
  expect(told()).toEqual({ silences: 2, ends: 1 })
})

test('it finds out by itself, too, that the silence is over', async () => {
  const { recover, webhook, told } = startWorker()
  await recover(3)
  webhook()
  await recover(3)
  expect(told()).toEqual({ silences: 1, ends: 1 })
  await recover(3)
  expect(told()).toEqual({ silences: 2, ends: 1 })
})
