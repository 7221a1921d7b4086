import { describe, expect, test } from 'vitest'
import { type AuditEntry, MAX_AUDIT_ENTRIES } from '../../src/domain/audit.ts'
import type { Fixture } from './store-contract.ts'
import { codeOf, START_MS } from './store-samples.ts'

const entry = (given: Partial<AuditEntry> = {}): AuditEntry => ({
  action: 'task.cancel',
  outcome: 'done',
  actor: 'OPS_TOKEN',
  ...given,
})

export function describeAudit({ store, now, pass }: Fixture): void {
  const targets = async (filter: Parameters<ReturnType<typeof store>['audit']['list']>[0]) =>
    (await store().audit.list(filter, { limit: 200 })).items.map(({ target }) => target)

  describe('the audit', () => {
    test('returns an entry as it was recorded, with its time, and leaves out what it does not have', async () => {
      const full: AuditEntry = {
        action: 'event.replay',
        target: 'ünï \ue000',
        count: 3_000_000_000,
        outcome: 'failed',
        status: 409,
        reason: 'conflict',
        actor: 'OPS_READ_TOKEN',
        tokenPlace: 2,
        claimedName: 'alice',
        peer: '127.0.0.1',
        agent: 'curl',
      }
      await store().audit.record(full)
      pass(5)
      await store().audit.record(entry())
      const { items, nextCursor } = await store().audit.list({}, { limit: 10 })
      expect(items).toEqual([
        { ...entry(), id: expect.any(Number), atMs: START_MS + 5 },
        { ...full, id: expect.any(Number), atMs: START_MS },
      ])
      expect(nextCursor).toBeUndefined()
    })

    test('is listed in the order of recording, newest first, page by page, whatever the clock says', async () => {
      for (const target of ['1', '2', '3', '4', '5']) {
        await store().audit.record(entry({ target }))
        pass(-1_000)
      }
      const seen: (string | undefined)[] = []
      let cursor: string | undefined
      do {
        const page = await store().audit.list({}, { limit: 2, ...(cursor !== undefined && { cursor }) })
        expect(page.items.length).toBeLessThanOrEqual(2)
        seen.push(...page.items.map(({ target }) => target))
        cursor = page.nextCursor
      } while (cursor !== undefined)
      expect(seen).toEqual(['5', '4', '3', '2', '1'])
    })

    test('is filtered by actor, claimed name, action, pattern of actions, and time', async () => {
      await store().audit.record(entry({ target: 'a', claimedName: 'alice' }))
      pass(1_000)
      await store().audit.record(entry({ target: 'b', actor: 'signal', action: 'reload.run' }))
      pass(1_000)
      await store().audit.record(entry({ target: 'c', action: 'task_x.cancel' }))
      expect(await targets({ actor: 'signal' })).toEqual(['b'])
      expect(await targets({ actor: 'alice' })).toEqual(['a'])
      expect(await targets({ actor: 'Alice' })).toEqual([])
      expect(await targets({ action: 'task.cancel' })).toEqual(['a'])
      expect(await targets({ action: 'task.*' })).toEqual(['a'])
      expect(await targets({ action: '*.cancel' })).toEqual(['c', 'a'])
      expect(await targets({ sinceMs: START_MS + 1_000 })).toEqual(['c', 'b'])
      expect(await targets({ untilMs: START_MS + 1_000 })).toEqual(['a'])
      expect(await targets({ sinceMs: START_MS + 1_000, untilMs: START_MS + 2_000, actor: 'signal' })).toEqual(['b'])
    })

    test('refuses a cursor that another list gave, and a limit out of bounds', async () => {
      for (const page of [{ limit: 1, cursor: 'made-up' }, { limit: 0 }, { limit: 201 }])
        expect(await codeOf(store().audit.list({}, page))).toBe('invalid_request')
    })

    test('loses its oldest entries to `prune`, at most as many as it says', async () => {
      for (const target of ['1', '2', '3']) {
        await store().audit.record(entry({ target }))
        pass(1_000)
      }
      expect(await store().audit.prune(START_MS + 2_000, 1)).toBe(1)
      expect(await targets({})).toEqual(['3', '2'])
      expect(await store().audit.prune(START_MS + 2_000, 10)).toBe(1)
      expect(await store().audit.prune(now() - 1_000_000, 10)).toBe(0)
      expect(await targets({})).toEqual(['3'])
      expect(MAX_AUDIT_ENTRIES).toBeGreaterThan(1_000)
    })
  })
}
