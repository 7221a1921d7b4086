import type { Logger } from 'pino'
import { AUDIT_DAYS, type AuditStore } from '../domain/audit.ts'
import { type ClockRecord, DAY_MS, HOUR_MS, MAX_TOLERANCE_MS, toIso } from '../domain/clock.ts'
import type { DriftStore } from '../domain/drift-store.ts'
import { messageOf } from '../domain/errors.ts'
import type { RetentionPeriods, RetentionReport, RetentionService, RetentionState } from '../domain/retention.ts'
import type { OldBounds, OldEvents, PruneStep, RetentionStore } from '../domain/retention-store.ts'
import type { StatStore } from '../domain/stat-store.ts'
import { HOURS_KEPT_DAYS, MINUTES_KEPT_DAYS } from '../domain/stats.ts'
import type { OpenStore } from '../domain/store.ts'
import type { LongestWaits, RepairedTimes, StoreClock } from '../domain/store-clock.ts'

/** How often a pass judges the store's clock, and corrects times that lie ahead of it. */
const INTERVAL_MS = 300_000
/** How often a pass deletes old events. */
const RETENTION_INTERVAL_MS = HOUR_MS
/** How often the log repeats a warning that still holds. */
const REMINDER_MS = DAY_MS
/** How far the clock may be off before it counts as doubted, as a share of the retention; at most `MAX_TOLERANCE_MS`. */
const TOLERANCE_SHARE = 0.1
/** How long a shape is kept that no event has come for. */
const SHAPES_KEPT_DAYS = 90
const HELD =
  'the clock seems to have jumped: nothing is forgotten until it has run on steadily for a day; if it is right, run holdfast retention resume'

/** The times are read at each pass: a reload may change them. */
export interface RetentionOptions extends RetentionPeriods {
  readonly store: RetentionStore &
    StoreClock &
    Pick<StatStore, 'pruneStats'> &
    Pick<DriftStore, 'pruneDrift'> & { readonly audit: Pick<AuditStore, 'prune'> } & Pick<OpenStore, 'replayJobs'>
  /** The longest waits by what is known now: the handlers of other replicas may change. */
  readonly waits: () => Omit<LongestWaits, 'isTrusted'>
  /** Called after deliveries became due. */
  readonly onRepaired: () => void
  readonly log: Logger
  /** A monotonic clock. */
  readonly monotonicMs?: () => number
}

interface RetentionHealth {
  /** Retention deletes nothing, because the clock seems to have jumped. */
  readonly isHeld: boolean
  /** Dead deliveries that retention will delete within a day; undefined: not counted yet. */
  readonly deadExpiring: number | undefined
}

/**
 * Regular work on the store: judges its clock, corrects times that a wrong clock wrote, and deletes old events. `pass` does each of
 * these once.
 */
export class Retention implements RetentionService {
  readonly #options: RetentionOptions
  readonly #monotonicMs: () => number
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #isStarted = false
  #isPassing = false
  /** Another pass is to follow the running one at once. */
  #needsAnotherPass = false
  #lookedAtMs: number | undefined
  #prunedAtMs = Number.NEGATIVE_INFINITY
  #heldLoggedAtMs: number | undefined
  #expiryLoggedAtMs = Number.NEGATIVE_INFINITY
  #deadExpiring: number | undefined

  constructor(options: RetentionOptions) {
    this.#options = options
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
  }

  /** Makes a pass now and every five minutes. */
  start(): void {
    this.#isStarted = true
    void this.#passAndSchedule()
  }

  stop(): void {
    this.#stopping.abort()
    clearTimeout(this.#timer)
  }

  state = (): RetentionHealth => ({ isHeld: this.#heldLoggedAtMs !== undefined, deadExpiring: this.#deadExpiring })

  periods(): RetentionPeriods {
    const { retentionDays, deadRetentionDays } = this.#options
    return { retentionDays, deadRetentionDays }
  }

  async report(): Promise<RetentionReport> {
    const { retentionDays, deadRetentionDays } = this.#options
    const record = await this.#look()
    const times = { retentionDays, deadRetentionDays, nowMs: record.lookedAtMs }
    return { ...stateOf(record), retentionDays, deadRetentionDays, old: await countOld(this.#options.store, times) }
  }

  async resume(clockMs: number): Promise<RetentionState> {
    const record = await this.#look(clockMs)
    this.#prunedAtMs = Number.NEGATIVE_INFINITY
    if (this.#isPassing) this.#needsAnotherPass = true
    else if (this.#isStarted) void this.#passAndSchedule()
    return stateOf(record)
  }

  warnings = (): readonly string[] => (this.#isStarted && this.state().isHeld ? [HELD] : [])

  async #passAndSchedule(): Promise<void> {
    clearTimeout(this.#timer)
    this.#isPassing = true
    this.#needsAnotherPass = false
    try {
      await this.pass()
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#options.log.warn({ error: messageOf(error) }, 'old events could not be forgotten')
    }
    this.#isPassing = false
    if (this.#stopping.signal.aborted) return
    this.#timer = setTimeout(() => void this.#passAndSchedule(), this.#needsAnotherPass ? 0 : INTERVAL_MS).unref()
  }

  async pass(): Promise<void> {
    const record = await this.#look()
    const isTrusted = record.steadyMs === undefined
    await this.#repairTimes(isTrusted)
    if (!isTrusted) return this.#hold(record)
    if (this.#heldLoggedAtMs !== undefined)
      this.#options.log.info('the clock is trusted, and old events are forgotten again')
    this.#heldLoggedAtMs = undefined
    const nowMs = this.#monotonicMs()
    if (nowMs - this.#prunedAtMs < RETENTION_INTERVAL_MS) return
    this.#prunedAtMs = nowMs
    await this.#prune(record.lookedAtMs)
    await pruneStats(this.#options.store, record.lookedAtMs, this.#stopping.signal)
    const { store, retentionDays } = this.#options
    const oldMs = retentionDays === 0 ? NEVER_MS : record.lookedAtMs - retentionDays * DAY_MS
    await store.pruneDrift(oldMs, record.lookedAtMs - SHAPES_KEPT_DAYS * DAY_MS)
    await this.#pruneReplays(record.lookedAtMs)
  }

  async #look(confirmedMs?: number): Promise<ClockRecord> {
    const nowMs = this.#monotonicMs()
    const ranMs = nowMs - (this.#lookedAtMs ?? nowMs)
    const look = {
      ranMs,
      toleranceMs: toleranceOf(this.#options),
      ...(confirmedMs !== undefined && { confirmedMs }),
    }
    const record = await this.#options.store.judgeClock(look)
    this.#lookedAtMs = nowMs
    return record
  }

  #hold(record: ClockRecord): void {
    const nowMs = this.#monotonicMs()
    if (this.#heldLoggedAtMs !== undefined && nowMs - this.#heldLoggedAtMs < REMINDER_MS) return
    this.#heldLoggedAtMs = nowMs
    const { clockMs, trustedAtMs, steadyHours = null } = stateOf(record)
    const about = { clock: toIso(clockMs), last_known: toIso(trustedAtMs), steady_hours: steadyHours }
    this.#options.log.warn(about, HELD)
  }

  async #repairTimes(isTrusted: boolean): Promise<void> {
    const { store, waits, onRepaired, log } = this.#options
    const total = { events: 0, deliveries: 0, tasks: 0 }
    for (let isDone = false; !isDone && !this.#stopping.signal.aborted; ) {
      const repaired: RepairedTimes = await store.repairTimes({ ...waits(), isTrusted })
      total.events += repaired.events
      total.deliveries += repaired.deliveries
      total.tasks += repaired.tasks
      isDone = repaired.events + repaired.deliveries + repaired.tasks === 0
      if (repaired.deliveries > 0) onRepaired()
      if (!isDone) await pause()
    }
    if (total.events + total.deliveries + total.tasks > 0)
      log.warn(total, 'a clock that was ahead had written times that lie ahead: they were set to now')
  }

  async #pruneReplays(nowMs: number): Promise<void> {
    const { store, retentionDays } = this.#options
    const beforeMs = nowMs - retentionDays * DAY_MS
    const isDone = async (): Promise<boolean> =>
      retentionDays === 0 || (await store.replayJobs.prune(beforeMs, STEP_EVENTS)) < STEP_EVENTS
    while (!this.#stopping.signal.aborted && !(await isDone())) await pause()
  }

  async #prune(nowMs: number): Promise<void> {
    const { store, log } = this.#options
    const { retentionDays, deadRetentionDays } = this.#options
    const about = { retention_days: retentionDays, retention_dead_days: deadRetentionDays }
    const pruned = await pruneOnce(store, { retentionDays, deadRetentionDays, nowMs }, this.#stopping.signal)
    if (pruned.redated > 0)
      log.warn(
        { events: pruned.redated },
        'a clock that was behind had dated events too early: they now have the time of the event before them',
      )
    if (pruned.events > 0) log.info({ pruned: pruned.events, dead: pruned.dead, ...about }, 'old events forgotten')
    await pruneAudit(store.audit, nowMs, this.#stopping.signal)
    if (this.#stopping.signal.aborted) return
    const expiring = await countExpiring(store, { deadRetentionDays, nowMs })
    this.#deadExpiring = expiring
    const monotonicMs = this.#monotonicMs()
    if (expiring === 0 || monotonicMs - this.#expiryLoggedAtMs < REMINDER_MS) return
    this.#expiryLoggedAtMs = monotonicMs
    log.warn(
      { dead: expiring, ...about },
      'dead letters will be forgotten within a day: replay them, or keep them longer',
    )
  }
}

const stateOf = ({ knownAtMs, lookedAtMs, steadyMs }: ClockRecord): RetentionState => ({
  isHeld: steadyMs !== undefined,
  clockMs: lookedAtMs,
  trustedAtMs: knownAtMs,
  steadyHours: steadyMs === undefined ? undefined : Math.floor(steadyMs / HOUR_MS),
})

/** How many events or tasks one step deletes, and the pause after it: acknowledgements wait for one such step at most. */
const STEP_EVENTS = 200
const PAUSE_MS = 50
const NEVER_MS = Number.MIN_SAFE_INTEGER

const toleranceOf = ({ retentionDays }: RetentionPeriods): number =>
  retentionDays === 0 ? MAX_TOLERANCE_MS : Math.min(MAX_TOLERANCE_MS, retentionDays * DAY_MS * TOLERANCE_SHARE)

/** `nowMs`: a time of the store's clock. */
type RetentionAt = RetentionPeriods & { readonly nowMs: number }

const boundsOf = ({ retentionDays, deadRetentionDays, nowMs }: RetentionAt): OldBounds => ({
  receivedBeforeMs: nowMs - retentionDays * DAY_MS,
  deadReceivedBeforeMs: deadRetentionDays === 0 ? NEVER_MS : nowMs - deadRetentionDays * DAY_MS,
})

interface Pruned {
  readonly events: number
  /** Dead deliveries among them. */
  readonly dead: number
  /** Events that only seemed old, because a clock that was behind dated them. They were kept and got a later time of receipt. */
  readonly redated: number
}

/**
 * Deletes all events and tasks past their retention at `nowMs`, step by step: one walk over the old events that skips those which
 * cannot be deleted yet. Ends early once `signal` is aborted.
 */
export async function pruneOnce(store: RetentionStore, times: RetentionAt, signal: AbortSignal): Promise<Pruned> {
  if (times.retentionDays === 0) return { events: 0, dead: 0, redated: 0 }
  const bounds = boundsOf(times)
  const pruned = { events: 0, dead: 0, redated: 0 }
  for (
    let from: PruneStep['next'], isFirst = true;
    (isFirst || from !== undefined) && !signal.aborted;
    isFirst = false
  ) {
    const request = { ...bounds, limit: STEP_EVENTS, ...(from !== undefined && { from }) }
    const { events, dead, redated, next } = await store.prune(request)
    pruned.events += events
    pruned.dead += dead
    pruned.redated += redated
    from = next
    if (from !== undefined) await pause()
  }
  while (!signal.aborted && (await store.pruneTasks(bounds.receivedBeforeMs, STEP_EVENTS)) === STEP_EVENTS)
    await pause()
  return pruned
}

/** Deletes the numbers over time that are past their time at `nowMs`, and those that a clock ahead of it has counted. */
async function pruneStats(store: Pick<StatStore, 'pruneStats'>, nowMs: number, signal: AbortSignal): Promise<void> {
  const old = {
    minutesBeforeMs: nowMs - MINUTES_KEPT_DAYS * DAY_MS,
    hoursBeforeMs: nowMs - HOURS_KEPT_DAYS * DAY_MS,
    afterMs: nowMs + MAX_TOLERANCE_MS,
    limit: STEP_EVENTS,
  }
  while (!signal.aborted && (await store.pruneStats(old)) === STEP_EVENTS) await pause()
}

async function pruneAudit(audit: Pick<AuditStore, 'prune'>, nowMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await audit.prune(nowMs - AUDIT_DAYS * DAY_MS, STEP_EVENTS)) === STEP_EVENTS) await pause()
}

/** Counts the events that a prune at `nowMs` would delete, up to the store's limit. */
async function countOld(store: RetentionStore, times: RetentionAt): Promise<OldEvents> {
  return times.retentionDays === 0 ? { days: [], more: false } : store.countOld(boundsOf(times))
}

/** Counts the dead deliveries that retention will delete within a day after `nowMs`. */
async function countExpiring(
  store: RetentionStore,
  { deadRetentionDays, nowMs }: Pick<RetentionAt, 'deadRetentionDays' | 'nowMs'>,
): Promise<number> {
  return deadRetentionDays === 0 ? 0 : store.countDead(nowMs + DAY_MS - deadRetentionDays * DAY_MS)
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
