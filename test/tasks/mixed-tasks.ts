import fc from 'fast-check'
import { expect } from 'vitest'
import type { FakeProviderOptions } from '../support/fake-provider.ts'
import { propertyParameters } from '../support/property.ts'
import { startSourcePoller } from '../support/source-poller.ts'

type Misbehave = NonNullable<FakeProviderOptions['misbehave']>

export const SICK = 40
const SOUND = 5

interface Mixed {
  readonly sick?: number
  readonly concurrency?: number
  /** Each sick one has failed before the sound ones come. */
  readonly areKnown?: boolean
}

/** Sick tasks, and then sound ones that have ended at their provider. */
export async function startMixed(misbehave: Misbehave, { sick = SICK, concurrency = 16, areKnown = true }: Mixed = {}) {
  const rig = await startSourcePoller({
    maxWaitMs: 0,
    deadlineMs: 86_400_000,
    tasksApi: { concurrency },
    provider: { misbehave: (id, nth) => (id.startsWith('sick') ? misbehave(id, nth) : undefined) },
  })
  for (let n = 0; n < sick; n++)
    await rig.tasks.service.begin({ source: 'ai', work: { taskId: rig.provider.create(`sick_${n}`) } })
  await rig.pass()
  while (areKnown && rig.provider.seen.polls.size < sick) await rig.pass(10_000)
  const sound = await rig.track(SOUND)
  for (const id of sound) rig.provider.finish(id, 'completed')
  const statuses = async () => new Set(await Promise.all(sound.map(async (id) => (await rig.task(id))?.status)))
  return { ...rig, sound, statuses }
}

/** However many failing tasks there are, and whatever their faults: so many settings. */
export async function soundTasksArePolled(runs: number): Promise<void> {
  const faults = fc.constantFrom<ReturnType<Misbehave>>(
    { kind: 'status', status: 403 },
    { kind: 'status', status: 404 },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 401 },
    { kind: 'reset' },
    { kind: 'garbage', form: 'wrong-shape' },
  )
  const setting = fc.record({
    sick: fc.integer({ min: 1, max: 80 }),
    concurrency: fc.constantFrom(1, 2, 16),
    ails: fc.array(faults, { minLength: 1, maxLength: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(setting, async ({ sick, concurrency, ails }) => {
      const { pass, statuses } = await startMixed((id) => ails[Number(id.slice(5)) % ails.length], {
        sick,
        concurrency,
      })
      // A failing task may open the circuit in the first pass; the sound ones come first after the pause.
      await pass(10_000)
      await pass(10_000)
      expect(await statuses()).toEqual(new Set(['completed']))
    }),
    propertyParameters({ runs, endOnFailure: true }),
  )
}
