import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { ConfigReload } from '../../src/app/config-reload.ts'
import type { AuditTrail } from '../../src/domain/audit.ts'
import type { ReloadResult } from '../../src/domain/reload.ts'

const REFUSED: ReloadResult = { ok: false, faults: ['SOURCES is empty'] }
const AWAY: ReloadResult = { ok: false, faults: ['the database is away'], isAway: true }
const DONE: ReloadResult = {
  ok: true,
  handlers: 0,
  changes: {
    sources: { added: [], removed: [], changed: [] },
    handlers: { added: [], removed: [] },
    settings: [],
    needRestart: [],
  },
  durationMs: 1,
}

/** Reloads end with these results, one after the other. */
function start(results: readonly ReloadResult[]) {
  const left = [...results]
  const lines: string[] = []
  const recorded: string[] = []
  const ended = Promise.withResolvers<void>()
  const inUse: string[] = []
  const record: AuditTrail['record'] = async ({ actor, outcome }) => void recorded.push(`${actor} ${outcome}`)
  const reload = new ConfigReload({
    reloader: {
      reload: async () => {
        const result = left.shift()
        if (result === undefined) throw new Error('it was tried once too often')
        if (left.length === 0) setImmediate(ended.resolve)
        return { ...result }
      },
    },
    reread: (before) => {
      inUse.push(...before.files)
      return { ...readConfig({}), files: [`file ${inUse.length}`] }
    },
    first: { ...readConfig({}), files: ['file 0'] },
    audit: { record },
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) }),
    retryMs: 1,
  })
  onTestFinished(() => reload.close())
  return { reload, left, lines, recorded, inUse, ended: ended.promise }
}

test.each(['signal', 'file'] as const)(
  'a reload by %s while the database is away is tried again until it is done, and told once',
  async (trigger) => {
    const { reload, lines, recorded, ended } = start([AWAY, AWAY, AWAY, DONE])
    expect(await reload.reload(trigger)).toMatchObject({ isAway: true })
    await ended
    expect(lines).toEqual([
      'the database is away',
      'not reloaded: the old configuration stays',
      'configuration reloaded',
    ])
    expect(recorded).toEqual([`${trigger} failed`, `${trigger} done`])
  },
)

test('a reload by request while the database is away is not tried again, but the one of a file before it is', async () => {
  const alone = start([AWAY, DONE])
  await alone.reload.reload('request')
  const after = start([AWAY, AWAY, DONE])
  await after.reload.reload('file')
  await after.reload.reload('request')
  await after.ended
  expect(after.recorded).toEqual(['file failed', 'file done'])
  expect(alone.left).toHaveLength(1)
})

test('a reload is judged by the configuration in use: that of the start, or of the last reload that was done', async () => {
  const { reload, inUse } = start([REFUSED, DONE, REFUSED, DONE])
  for (let time = 0; time < 4; time++) await reload.reload('request')
  expect(inUse).toEqual(['file 0', 'file 0', 'file 2', 'file 2'])
})
