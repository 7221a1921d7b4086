import { describe, expect, test } from 'vitest'
import { OTHER_CAUSES } from '../../src/domain/cause.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { ALL_MINUTES, statRow } from './store-contract-stats.ts'
import { codeOf, newEvent } from './store-samples.ts'
import { newTask, taskClaim } from './task-samples.ts'

/** A store from its opening to its close. */
export function describeLife({ store }: Fixture): void {
  describe('the store', () => {
    test('has no faults while it is healthy', () => {
      expect(store().faults()).toEqual([])
    })

    test('finishes what it has accepted when it closes, and then refuses everything', async () => {
      const accepted = store().append(newEvent())
      const closed = store().close()
      expect(await codeOf(accepted)).toBe('it resolved')
      await closed
      const answers = await Promise.all(
        [
          store().append(newEvent()),
          store().claim({ handlers: [], sharedLimit: 1, isolatedLimit: 1, leaseMs: 1, maxAttempts: 1 }),
          store().settle([]),
          store().replay({ eventUid: newUid(), handlers: [], status: 'accepted', reasons: [] }),
          store().discard({ filter: {}, limit: 1 }),
          store().discardOf(newUid()),
          store().matchDead({}, 1),
          store().deadCauses({}),
          store().nameCauses({ causeOf: () => OTHER_CAUSES, limit: 1 }),
          store().pruneCauses(0),
          store().judgeClock({ ranMs: 0, toleranceMs: 1 }),
          store().repairTimes({ retryMs: 1, retryAfterMs: 1, pollMs: 1, leaseMs: 1, isTrusted: true }),
          store().prune({ receivedBeforeMs: 0, deadReceivedBeforeMs: 0, limit: 1 }),
          store().countOld({ receivedBeforeMs: 0, deadReceivedBeforeMs: 0 }),
          store().countDead(0),
          store().events({}, { limit: 1 }),
          store().event(newUid()),
          store().body(newUid()),
          store().deliveries({}, { limit: 1 }),
          store().counts(),
          store().track(newTask()),
          store().submitted(newUid(), '', { id: 'a' }),
          store().claimTasks(taskClaim()),
          store().claimTask(newUid(), 1),
          store().postpone([]),
          store().cancelTask(newUid()),
          store().pruneTasks(0, 1),
          store().replayJobs.list({ limit: 1 }),
          store().replayJobs.lease('one', 1),
          store().tasks({}, { limit: 1 }),
          store().task('stripe', 'a'),
          store().activity('stripe', 0),
          store().pauses.pause({ kind: 'handler', name: 'a', by: 'b' }),
          store().pauses.resume('handler', 'a'),
          store().pauses.list(),
          store().pauses.releaseHeld(1),
          store().recordStats([statRow()]),
          store().statRows(ALL_MINUTES),
          store().pruneStats({ minutesBeforeMs: 0, hoursBeforeMs: 0, afterMs: 0, limit: 1 }),
          store().beginEpisode({ kind: 'silent', source: 'stripe', sinceMs: 0 }),
          store().endEpisode('silent', 'stripe'),
          store().episodes(),
          store().size(),
          store().audit.record({ action: 'a.b', outcome: 'done', actor: 'signal' }),
          store().audit.list({}, { limit: 1 }),
          store().audit.prune(0, 1),
        ].map(codeOf),
      )
      expect(new Set(answers)).toEqual(new Set(['unavailable']))
      expect(store().faults()).not.toEqual([])
    })

    test('may be closed twice', async () => {
      await Promise.all([store().close(), store().close()])
      await store().close()
    })
  })
}
