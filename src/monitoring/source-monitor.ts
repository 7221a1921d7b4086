import type { Logger } from 'pino'
import { type Clock, HOUR_MS, toIso } from '../domain/clock.ts'
import { messageOf } from '../domain/errors.ts'
import type { ExpectEvery, SourceHealth } from '../domain/source-health.ts'
import type { Episode, EpisodeKind, StatQuery, StatRow, StatStore } from '../domain/stat-store.ts'
import type { TaskStore } from '../domain/task-store.ts'
import { statRows } from './read-stats.ts'
import { judgeRefusals, REFUSAL_HOURS, REFUSAL_MINUTES, type Requests } from './refusals.ts'
import { learnRhythm, NO_RHYTHM, ownTime, type Rhythm } from './rhythm.ts'
import { MINUTE_MS, minuteOf, minutesOf, readHistory, requestsOf } from './source-history.ts'
import { SERVICE, type StatsRecorder } from './stats-recorder.ts'

/** How often the sources are judged. */
const PASS_MS = 15_000
/** How often the last day is read again, and how often the rhythms are learned again. */
const HOURS_INTERVAL_MS = 300_000
const LEARN_INTERVAL_MS = 6 * HOUR_MS
/** Every hour of the week counts in full. */
const ALL_TIME = Array.from({ length: 168 }, () => 1)

export interface SourceMonitorOptions {
  readonly store: StatStore & Pick<TaskStore, 'activity'>
  readonly recorder: Pick<StatsRecorder, 'present' | 'lastWebhookAtMs'>
  /** The configured sources. */
  readonly sources: () => readonly { readonly name: string; readonly expectEvery: ExpectEvery }[]
  readonly clock: Clock
  readonly log: Logger
  readonly passMs?: number
}

/** What is known of one source. */
interface Known {
  rhythm: Rhythm
  lastWebhookAtMs: number | undefined
  minutes: readonly Requests[]
  hours: readonly Requests[]
  silentSinceMs: number | undefined
  refusing: { readonly sinceMs: number; readonly reason: SourceHealth['refusingReason'] } | undefined
}

/**
 * Watches whether webhooks come and are accepted, for each source. Judges by what all replicas have written into the store. An episode is
 * kept in the store: of all replicas one tells of its beginning and one of its end, and a restart is neither.
 */
export class SourceMonitor {
  readonly #options: SourceMonitorOptions
  readonly #startedAtMs: number
  readonly #known = new Map<string, Known>()
  #ran = new Set<number>()
  #learnedAtMs = Number.NEGATIVE_INFINITY
  #hoursReadAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: SourceMonitorOptions) {
    this.#options = options
    this.#startedAtMs = options.clock()
  }

  start(): void {
    void this.#passAndSchedule()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  async #passAndSchedule(): Promise<void> {
    try {
      await this.pass()
    } catch (error) {
      if (!this.#isStopped) this.#options.log.debug({ error: messageOf(error) }, 'the sources could not be judged')
    }
    if (this.#isStopped) return
    this.#timer = setTimeout(() => void this.#passAndSchedule(), this.#options.passMs ?? PASS_MS).unref()
  }

  healthOf = (source: string): SourceHealth => {
    const known = this.#known.get(source)
    const usualGap = known?.rhythm.usualGap
    return {
      lastWebhookAtMs: this.#lastOf(source),
      usualGapMs: usualGap === undefined ? undefined : usualGap * MINUTE_MS,
      silentSinceMs: known?.silentSinceMs,
      refusingSinceMs: known?.refusing?.sinceMs,
      refusingReason: known?.refusing?.reason,
    }
  }

  /** Judges every source once. Rejects if the store cannot answer. */
  async pass(): Promise<void> {
    const { sources, clock, store } = this.#options
    const nowMs = clock()
    const all = sources()
    await this.#learn(nowMs, all)
    await this.#readRecent(nowMs)
    const open = await store.episodes()
    for (const { name, expectEvery } of all) {
      const known = this.#of(name)
      const episodeOf = (kind: EpisodeKind) => open.find((each) => each.kind === kind && each.source === name)
      await this.#judgeSilence(name, known, expectEvery, episodeOf('silent'), nowMs)
      await this.#judgeRefusals(name, known, episodeOf('refusing'), nowMs)
    }
    // A source that is not configured any more is neither silent nor refused.
    const names = new Set(all.map(({ name }) => name))
    for (const { kind, source } of open) if (!names.has(source)) await store.endEpisode(kind, source)
  }

  async #learn(nowMs: number, sources: readonly { readonly name: string }[]): Promise<void> {
    const { store } = this.#options
    const isDue = Math.abs(nowMs - this.#learnedAtMs) >= LEARN_INTERVAL_MS
    const fresh = sources.filter(({ name }) => !this.#known.has(name))
    if (!isDue && fresh.length === 0) return
    const history = await readHistory(store, nowMs)
    this.#ran = history.ran
    for (const { name } of sources) {
      const activity = history.of(name)
      const known = this.#of(name)
      known.rhythm = learnRhythm(activity)
      await pause()
      const last = activity.active.lastIndexOf(1)
      if (last >= 0) note(known, (activity.fromMinute + last) * MINUTE_MS)
      else note(known, (await store.activity(name, nowMs)).lastWebhookAtMs)
    }
    this.#learnedAtMs = nowMs
  }

  async #readRecent(nowMs: number): Promise<void> {
    const isDue = Math.abs(nowMs - this.#hoursReadAtMs) >= HOURS_INTERVAL_MS
    const minutes = await this.#rows({
      span: 'minute',
      sinceMs: nowMs - REFUSAL_MINUTES * MINUTE_MS,
      untilMs: nowMs + 1,
    })
    const hours = await this.#rows({
      span: 'hour',
      sinceMs: nowMs - (isDue ? REFUSAL_HOURS : 1) * HOUR_MS,
      untilMs: nowMs + 1,
    })
    for (const row of hours) {
      if (row.source === SERVICE) for (const minute of minutesOf(row)) this.#ran.add(minute)
      else note(this.#known.get(row.source), lastMinuteMs(row))
    }
    const [byMinute, byHour] = [requestsOf(minutes), isDue ? requestsOf(hours) : undefined]
    for (const [source, known] of this.#known) {
      known.minutes = byMinute.get(source) ?? []
      if (byHour !== undefined) known.hours = byHour.get(source) ?? []
    }
    if (isDue) this.#hoursReadAtMs = nowMs
  }

  /** Those of the store, and in place of this process's own the present ones. */
  async #rows(query: Omit<StatQuery, 'after' | 'limit'>): Promise<readonly StatRow[]> {
    const rows = new Map<string, StatRow>()
    const put = (row: StatRow) => rows.set(`${row.atMs} ${row.source} ${row.writer}`, row)
    for await (const row of statRows(this.#options.store, query)) put(row)
    for (const row of this.#options.recorder.present()) if (row.span === query.span) put(row)
    return [...rows.values()]
  }

  async #judgeSilence(
    source: string,
    known: Known,
    expectEvery: ExpectEvery,
    episode: Episode | undefined,
    nowMs: number,
  ): Promise<void> {
    const lastMs = this.#lastOf(source)
    const isSilent = isOf(episode, lastMs) || this.#isSilent(known.rhythm, expectEvery, lastMs, nowMs)
    if (expectEvery === 'off' || !isSilent) {
      known.silentSinceMs = undefined
      if (episode !== undefined && expectEvery === 'off') await this.#options.store.endEpisode('silent', source)
      else if (episode !== undefined) await this.#end(episode, 'webhooks of this source come again')
      return
    }
    known.silentSinceMs = lastMs ?? episode?.sinceMs ?? this.#startedAtMs
    if (episode !== undefined) return
    const about = {
      silent_since: toIso(known.silentSinceMs),
      ...(typeof expectEvery === 'number' && { expected_every_seconds: expectEvery / 1000 }),
      ...(known.rhythm.usualGap !== undefined && { usual_gap_seconds: known.rhythm.usualGap * 60 }),
    }
    await this.#begin({ kind: 'silent', source, sinceMs: known.silentSinceMs }, about, SILENT)
  }

  #isSilent(rhythm: Rhythm, expectEvery: ExpectEvery, lastMs: number | undefined, nowMs: number): boolean {
    if (expectEvery === 'off') return false
    const isExpected = typeof expectEvery === 'number'
    // By its own rhythm, a source is silent only after something has come.
    const sinceMs = lastMs ?? (isExpected ? this.#startedAtMs : nowMs)
    const judged = isExpected ? { ...rhythm, limit: expectEvery / MINUTE_MS, weights: ALL_TIME } : rhythm
    if (judged.limit === undefined) return false
    return ownTime(judged, (minute) => this.#ran.has(minute), minuteOf(sinceMs), minuteOf(nowMs)) >= judged.limit
  }

  async #judgeRefusals(source: string, known: Known, episode: Episode | undefined, nowMs: number): Promise<void> {
    const lastMs = this.#lastOf(source)
    const refusal = judgeRefusals({
      minutes: known.minutes,
      hours: known.hours,
      nowMinute: minuteOf(nowMs),
      lastGoodMinute: lastMs === undefined ? undefined : minuteOf(lastMs),
      usualGap: known.rhythm.usualGap,
    })
    if (refusal === undefined && (episode === undefined || hasEnded(episode, known, lastMs, nowMs))) {
      known.refusing = undefined
      if (episode !== undefined) await this.#end(episode, 'requests to this source are accepted again')
      return
    }
    const sinceMs = episode?.sinceMs ?? (refusal?.sinceMinute ?? 0) * MINUTE_MS
    known.refusing = { sinceMs, reason: refusal?.reason ?? known.refusing?.reason }
    if (episode !== undefined) return
    const about = { refusing_since: toIso(sinceMs), reason: refusal?.reason }
    await this.#begin({ kind: 'refusing', source, sinceMs }, about, REFUSING)
  }

  async #begin(episode: Episode, about: object, message: string): Promise<void> {
    const { store, log } = this.#options
    if (await store.beginEpisode(episode)) log.warn({ source: episode.source, ...about }, message)
  }

  async #end({ kind, source, sinceMs }: Episode, message: string): Promise<void> {
    const { store, log } = this.#options
    if (await store.endEpisode(kind, source)) log.info({ source, since: toIso(sinceMs) }, message)
  }

  #lastOf(source: string): number | undefined {
    const own = this.#options.recorder.lastWebhookAtMs(source)
    const known = this.#known.get(source)?.lastWebhookAtMs
    return own === undefined || (known !== undefined && minuteOf(known) > minuteOf(own)) ? known : own
  }

  #of(source: string): Known {
    const known: Known = this.#known.get(source) ?? {
      rhythm: NO_RHYTHM,
      lastWebhookAtMs: undefined,
      minutes: [],
      hours: [],
      silentSinceMs: undefined,
      refusing: undefined,
    }
    this.#known.set(source, known)
    return known
  }
}

const SILENT =
  'no webhook of this source has come for longer than usual: look at its registration at the provider, and at PUBLIC_URL'
const REFUSING =
  "requests to this source are refused, and none or hardly any is accepted: compare the source's secret with the provider's"

const lastMinuteMs = (row: StatRow): number | undefined => {
  const last = minutesOf(row).at(-1)
  return last === undefined ? undefined : last * MINUTE_MS
}

/** Lets the main thread do what else there is to do. */
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Remembers the later one. */
function note(known: Known | undefined, atMs: number | undefined): void {
  if (known === undefined || atMs === undefined) return
  known.lastWebhookAtMs = Math.max(atMs, known.lastWebhookAtMs ?? atMs)
}

/** Whether nothing has come since this silence began. It goes on then, also if its rhythm has been forgotten since. */
const isOf = (episode: Episode | undefined, lastMs: number | undefined): boolean =>
  episode !== undefined && (lastMs === undefined || minuteOf(lastMs) <= minuteOf(episode.sinceMs))

/** Refusals are over when something is accepted again, or when nothing has been refused for a day. */
function hasEnded({ sinceMs }: Episode, { minutes, hours }: Known, lastMs: number | undefined, nowMs: number): boolean {
  if (lastMs !== undefined && lastMs >= sinceMs) return true
  const isQuiet = [...minutes, ...hours].every(({ refused }) => refused.size === 0)
  return isQuiet && nowMs - sinceMs > REFUSAL_HOURS * HOUR_MS
}
