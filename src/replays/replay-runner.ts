import type { Logger } from 'pino'
import type { Replay } from '../domain/delivery-queue.ts'
import { isHoldfastError, messageOf } from '../domain/errors.ts'
import type { EventStore } from '../domain/event-store.ts'
import { newUid } from '../domain/names.ts'
import {
  type LeasedReplay,
  MAX_REPLAY_BATCH,
  type Probe,
  type ReplayBatch,
  type ReplayJobs,
  type SkipReason,
} from '../domain/replay-jobs.ts'
import type { PlanReplay } from '../domain/replay-service.ts'
import { type Capacity, Pacing, Rate } from './pacing.ts'
import { judgeProbe } from './probe.ts'

/** If this process goes away, another one takes the job over after this time. */
const LEASE_MS = 6_000
/** How often the runner looks whether deliveries have ended, and whether its probe has. */
const LOOK_MS = 20
/** How long it waits after a fault, and for a job of another process. */
const PAUSE_MS = 1_000
/** How many matching events it reads ahead, and how long it keeps to the plan for an event. */
const READ_AHEAD = 256
const PLAN_MS = 1_000

export interface ReplayRunnerOptions {
  readonly jobs: ReplayJobs
  readonly event: EventStore['event']
  readonly plan: PlanReplay
  readonly capacity: () => Capacity
  /** While an operator drains this process, it leaves jobs to others. */
  readonly isDraining: () => boolean
  /** Called with the handlers that have something to do. */
  readonly onWork: (handlers: readonly string[]) => void
  /** How often to look for jobs that another process may have created. */
  readonly idleMs: () => number
  readonly monotonicMs: () => number
  readonly log: Logger
}

type Matched = { readonly key: number; readonly uid: string }
/** What is to happen with an event. */
type Planned = Matched & { readonly plan: Replay | SkipReason; readonly plannedAtMs: number }

/** What the runner remembers of the job that it works on. */
interface Work {
  readonly id: string
  readonly pacing: Pacing
  readonly rate: Rate
  /** The next matching events, and the key up to which all of them are here. */
  ahead: readonly Matched[]
  aheadTo: number
  planned: readonly Planned[]
  /** How many events the next batch has at most: one after a batch that failed. */
  limit: number
}

/** Works on replay jobs, one after another. `pass` does one step. */
export class ReplayRunner {
  readonly #options: ReplayRunnerOptions
  readonly #lease = newUid()
  #work: Work | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #isWoken = false
  #isStopped = true

  constructor(options: ReplayRunnerOptions) {
    this.#options = options
  }

  start(): void {
    this.#isStopped = false
    this.wake()
  }

  /** Looks for jobs now. */
  wake(): void {
    if (this.#isStopped) return
    this.#isWoken = true
    if (this.#running !== undefined) return
    clearTimeout(this.#timer)
    this.#running = this.#passes().finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when no pass runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  async #passes(): Promise<void> {
    let waitMs = 0
    while (!this.#isStopped && (waitMs === 0 || this.#isWoken)) {
      this.#isWoken = false
      try {
        waitMs = await this.pass()
      } catch (error) {
        if (!this.#isStopped) this.#options.log.warn({ error: messageOf(error) }, 'a replay waits')
        waitMs = PAUSE_MS
      }
    }
    if (!this.#isStopped) this.#timer = setTimeout(() => this.wake(), waitMs)
  }

  /** Resolves with the time until the next one; 0: at once. */
  async pass(): Promise<number> {
    const { jobs, isDraining, idleMs, monotonicMs } = this.#options
    const job = isDraining() ? undefined : await jobs.lease(this.#lease, LEASE_MS)
    if (job === undefined) {
      this.#work = undefined
      return idleMs()
    }
    const work = this.#workOn(job)
    work.pacing.look(job.outstanding, monotonicMs())
    if (job.probe?.state === 'running') return this.#judge(job, job.probe)
    await this.#planAhead(job, work)
    if (work.planned.length === 0) {
      if (work.aheadTo < job.range.last) return this.#run(job, { replays: [], skips: {}, readTo: work.aheadTo })
      return this.#end(job, 'done')
    }
    return this.#runPlanned(job, work)
  }

  #workOn(job: LeasedReplay): Work {
    if (this.#work?.id === job.id) return this.#work
    this.#options.log.info({ replay: job.id, matched: job.matched, handler: job.handler }, 'replay goes on')
    this.#work = {
      id: job.id,
      pacing: new Pacing(this.#options.capacity()),
      rate: new Rate(job.perSecond),
      ahead: [],
      aheadTo: job.range.after,
      planned: [],
      limit: MAX_REPLAY_BATCH,
    }
    return this.#work
  }

  /** Plans the next events of the job, as far as they are not planned already. */
  async #planAhead(job: LeasedReplay, work: Work): Promise<void> {
    const { jobs, plan, monotonicMs } = this.#options
    const nowMs = monotonicMs()
    if (work.planned.some(({ plannedAtMs }) => nowMs - plannedAtMs > PLAN_MS)) {
      work.ahead = [...work.planned, ...work.ahead]
      work.planned = []
    }
    if (work.planned.length > 0) return
    if (work.ahead.length === 0 && work.aheadTo < job.range.last) {
      const { events, readTo } = await jobs.matches(job.filter, { ...job.range, after: work.aheadTo }, READ_AHEAD)
      work.ahead = events
      work.aheadTo = readTo
    }
    const limit = job.probe?.state === 'waiting' ? 1 : work.limit
    const next = work.ahead.slice(0, limit)
    const { filter, handler, id } = job
    const aim = {
      id,
      ...(handler !== undefined && { handler }),
      ...(filter.delivery !== undefined && { only: filter.delivery }),
      ...(filter.cause !== undefined && { cause: filter.cause }),
    }
    work.planned = await Promise.all(
      next.map(async ({ key, uid }) => ({ key, uid, plan: await plan(uid, aim), plannedAtMs: nowMs })),
    )
    work.ahead = work.ahead.slice(limit)
  }

  /** Replays as many of the planned events as there is room for. */
  async #runPlanned(job: LeasedReplay, work: Work): Promise<number> {
    const free = work.rate.free(this.#options.monotonicMs())
    const replays: Replay[] = []
    const skips: { -readonly [Reason in SkipReason]?: number } = {}
    let taken = 0
    for (const { plan } of work.planned) {
      if (typeof plan === 'string') skips[plan] = (skips[plan] ?? 0) + 1
      else if (replays.length < free && work.pacing.fits(plan.handlers)) {
        replays.push(plan)
        work.pacing.added(plan.handlers)
      } else break
      taken++
    }
    const last = work.planned[taken - 1]
    if (last === undefined) return LOOK_MS
    const [first] = replays
    const probe: Probe | undefined =
      job.probe?.state === 'waiting' && first !== undefined
        ? { state: 'running', uid: first.eventUid, handlers: first.handlers }
        : undefined
    const isAll = taken === work.planned.length && work.ahead.length === 0
    const rest = work.planned.slice(taken)
    work.planned = []
    const waitMs = await this.#run(job, {
      replays,
      skips,
      readTo: isAll ? work.aheadTo : last.key,
      ...(probe !== undefined && { probe }),
    })
    if (this.#work !== work) return waitMs
    work.planned = rest
    work.rate.take(replays.length)
    return rest.length > 0 ? LOOK_MS : waitMs
  }

  async #run(job: LeasedReplay, batch: Omit<ReplayBatch, 'job'>): Promise<number> {
    const { jobs, onWork } = this.#options
    try {
      const results = await jobs.run({ ...batch, job })
      if (results === undefined) this.#work = undefined
      else if (this.#work !== undefined) {
        this.#work.limit = MAX_REPLAY_BATCH
        this.#work.pacing.ran(batch.replays, results)
      }
      onWork([...new Set(results?.flatMap(({ handlers }) => handlers))])
      return 0
    } catch (error) {
      // Goes on from what the store has recorded.
      this.#work = undefined
      if (isHoldfastError(error, 'unavailable')) throw error
      return this.#runAlone(job, batch, error)
    }
  }

  /** After a batch that the store refused: the next one has a single event, and if that is refused, it is skipped. */
  async #runAlone(job: LeasedReplay, batch: Omit<ReplayBatch, 'job'>, error: unknown): Promise<number> {
    const { jobs, log } = this.#options
    if (batch.replays.length > 1) {
      this.#workOn(job).limit = 1
      return 0
    }
    const [uid] = batch.replays.map(({ eventUid }) => eventUid)
    log.warn({ replay: job.id, uid, error: messageOf(error) }, 'an event could not be replayed and is skipped')
    const gone = (batch.skips.gone ?? 0) + batch.replays.length
    await jobs.run({ job, replays: [], skips: { ...batch.skips, gone }, readTo: batch.readTo })
    return 0
  }

  async #judge(job: LeasedReplay, probe: Probe): Promise<number> {
    const { jobs, event } = this.#options
    const verdict = judgeProbe(probe, probe.uid === undefined ? undefined : await event(probe.uid), job.id)
    if (verdict.kind === 'wait') return LOOK_MS
    if (verdict.kind === 'ended' && verdict.probe.state === 'failed') return this.#end(job, 'stopped', verdict.probe)
    const next: Probe = verdict.kind === 'ended' ? verdict.probe : { state: 'waiting' }
    await jobs.run({ job, replays: [], skips: {}, readTo: job.range.after, probe: next })
    return 0
  }

  async #end(job: LeasedReplay, state: 'done' | 'stopped', probe?: Probe): Promise<number> {
    const { jobs, log } = this.#options
    this.#work = undefined
    const hasEnded = await jobs.end(job, state, probe)
    if (hasEnded) log.info({ replay: job.id, state, replayed: job.replayed, skipped: job.skipped }, 'replay ended')
    return 0
  }
}
