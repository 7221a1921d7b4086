import pino from 'pino'
import { expect, test } from 'vitest'
import { CauseNaming } from '../../src/app/name-causes.ts'
import { DAY_MS } from '../../src/domain/clock.ts'
import type { NameCauses } from '../../src/domain/dead-letters.ts'

const NEXT = { diedAtMs: 1, key: 1 }

function naming(steps: readonly ('next' | 'end' | 'fault')[], keptDays = 30) {
  const asked: (NameCauses['from'] | undefined)[] = []
  const pruned: number[] = []
  const left = [...steps]
  const kept = { days: keptDays }
  const run = new CauseNaming({
    store: {
      nameCauses: async ({ from }) => {
        asked.push(from)
        const step = left.shift()
        if (step === 'fault') throw new Error('the store is away')
        return { named: 1, next: step === 'next' ? NEXT : undefined }
      },
      pruneCauses: async (seenBeforeMs) => pruned.push(seenBeforeMs),
    },
    settings: () => ({ causeOf: () => ({ id: 'c', signature: 'no' }), keptDays: kept.days }),
    clock: () => 100 * DAY_MS,
    log: pino({ level: 'silent' }),
  })
  return { run, asked, pruned, kept }
}

test('a look goes on until all dead deliveries were looked at, and then forgets causes that are older than what is kept', async () => {
  const { run, asked, pruned } = naming(['next', 'next', 'end', 'end'])
  await run.pass()
  expect(asked).toEqual([undefined, NEXT, NEXT])
  expect(pruned).toEqual([69 * DAY_MS])
  await run.pass()
  expect(pruned).toHaveLength(1)
})

test('a look that fails is no fault, and what is kept for ever keeps its causes', async () => {
  const { run, asked, pruned } = naming(['fault', 'end'], 0)
  await run.pass()
  await run.pass()
  expect(asked).toEqual([undefined, undefined])
  expect(pruned).toEqual([])
})

test('a retention that a reload has changed counts for causes from the next look on', async () => {
  const { run, pruned, kept } = naming(['end', 'end'], 0)
  await run.pass()
  kept.days = 10
  await run.pass()
  expect(pruned).toEqual([89 * DAY_MS])
})

test('a stop waits for the step under way, and none follows', async () => {
  const { run, asked } = naming(['next', 'next', 'next', 'end'])
  run.start()
  await run.stop()
  expect(asked).toHaveLength(1)
})
