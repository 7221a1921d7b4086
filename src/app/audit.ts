import type { Logger } from 'pino'
import type { AuditStore, AuditTrail } from '../domain/audit.ts'
import { messageOf } from '../domain/errors.ts'

/** Tells the log of each change first, since the store may not be able to record it. */
export const createAuditTrail = (store: Pick<AuditStore, 'record'>, log: Logger): AuditTrail => ({
  async record(entry) {
    const { action, target, count, outcome, status, reason, actor, tokenPlace, claimedName, peer, agent } = entry
    const by = { actor, token_place: tokenPlace, claimed_name: claimedName, peer, agent }
    log[outcome === 'done' ? 'info' : 'warn'](
      { action, target, count, outcome, status, reason, ...by },
      outcome === 'done' ? 'an operator changed something' : 'a change that an operator asked for failed',
    )
    try {
      await store.record(entry)
    } catch (error) {
      log.error(
        { action, target, error: messageOf(error) },
        'a change could not be recorded in the audit: see the line before',
      )
    }
  },
})
