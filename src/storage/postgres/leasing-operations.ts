import { HoldfastError } from '../../domain/errors.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { Operation } from './open-operations.ts'

/** Refuses claims while the heartbeat fails. A missing standby keeps events from being stored, but not from being leased. */
export const whileBeating =
  <Args extends readonly unknown[], Leased>(
    heartbeat: Heartbeat,
    claim: Operation<Args, Leased>,
  ): Operation<Args, Leased> =>
  (...args) => {
    void heartbeat.begin()
    const fault = heartbeat.fault()
    return fault === undefined ? claim(...args) : Promise.reject(new HoldfastError('unavailable', fault))
  }

/**
 * Writes the first heartbeat before the first lease: without a heartbeat, no other store would reclaim the lease before it
 * expires. A claim of deliveries writes the heartbeat itself.
 */
export const afterHeartbeat =
  <Args extends readonly unknown[], Leased>(
    heartbeat: Heartbeat,
    lease: Operation<Args, Leased>,
  ): Operation<Args, Leased> =>
  async (...args) => {
    await heartbeat.begin()
    return lease(...args)
  }
