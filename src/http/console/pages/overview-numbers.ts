import type { StatNumbers, StatsReport, StatTimes } from '../../../domain/stats.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { type Html, html, own, when } from '../html/html.ts'
import { plot } from '../html/plot.ts'
import { counted, duration, whole } from '../html/words.ts'
import { refusedIn } from './refusals.ts'

export const RANGES = {
  '1h': { hours: 1, stepSeconds: 60, words: 'hour' },
  '24h': { hours: 24, stepSeconds: 900, words: '24 hours' },
  '7d': { hours: 168, stepSeconds: 7_200, words: '7 days' },
} as const
export type Range = keyof typeof RANGES
export const isRange = (text: string | null): text is Range => text !== null && Object.hasOwn(RANGES, text)

/** Five figures and three plots of a period. */
export function numbers(range: Range, stats: StatsReport | undefined, status: ServiceStatus, nowMs: number): Html {
  return html`<div class="head"><h2>Last ${own(RANGES[range].words)}</h2><nav class="seg" aria-label="Period">${Object.keys(
    RANGES,
  ).map(
    (each) =>
      html`<a href="/console?range=${own(each)}"${when(each === range, () => CURRENT)}>${own(each.replace(/(?=[hd])/, ' '))}</a>`,
  )}</nav></div>
${
  stats === undefined
    ? html`<p class="note">The store does not give its numbers now. They come back with it.</p>`
    : html`${facts(stats.total, status, nowMs)}${plots(stats, nowMs)}`
}`
}

const CURRENT = html` aria-current="true"`

function facts(total: StatNumbers, { counts, problems }: ServiceStatus, nowMs: number): Html {
  const attempts = total.handled + total.failed
  const refused = refusedIn(total)
  return html`<dl class="card facts">
${fact('Received', shortParts(total.received), [total.duplicates > 0 ? counted(total.duplicates, 'duplicate') : '', refused > 0 ? `${whole(refused)} refused` : ''].filter((each) => each !== '').join(', ') || 'none refused')}
${fact('Attempts succeeded', attempts === 0 ? ['–', ''] : [percent(total.handled / attempts), '%'], `${whole(total.failed)} failed, ${whole(total.dead)} died`)}
${fact('Acknowledged, p99', timeParts(total.ack.p99Ms), `p50 ${timeOf(total.ack.p50Ms)}`)}
${fact('Queue delay, p99', timeParts(total.queue.p99Ms), `p50 ${timeOf(total.queue.p50Ms)}`)}
${waiting(
  counts,
  nowMs,
  problems.some(({ problem }) => problem.endsWith('_paused')),
)}
</dl>`
}

function waiting(counts: ServiceStatus['counts'], nowMs: number, isPaused: boolean): Html {
  if (counts === undefined) return fact('Waiting', ['–', ''], 'the store does not tell')
  const { pending, running } = counts.deliveries
  const oldest = counts.oldestDueAtMs
  return fact(
    'Waiting',
    shortParts(pending + running),
    oldest === undefined
      ? pending > 0 && isPaused
        ? 'none is due but of those paused'
        : 'none is due'
      : `oldest due for ${duration(Math.max(0, nowMs - oldest))}`,
  )
}

const percent = (share: number): string => (share * 100).toFixed(share > 0.99 && share < 1 ? 2 : 1).replace('.0', '')

const fact = (name: string, [value, unit]: readonly [string, string], sub: string): Html =>
  html`<div><dt>${own(name)}</dt><dd>${own(value)}${when(unit !== '', () => html` <span class="unit">${own(unit)}</span>`)}<p class="sub">${own(sub)}</p></dd></div>`

const timeOf = (ms: number | undefined): string => (ms === undefined ? '–' : duration(ms))

/** The number and its unit; two units are one text. */
function timeParts(ms: number | undefined): readonly [string, string] {
  const [number = '', unit = '', ...more] = timeOf(ms).split(' ')
  return more.length === 0 ? [number, unit] : [timeOf(ms), '']
}

function shortParts(count: number): readonly [string, string] {
  if (count < 100_000) return [whole(count), '']
  return count < 1_000_000 ? [whole(count / 1_000), 'k'] : [(count / 1_000_000).toFixed(2), 'M']
}

const short = (count: number): string => shortParts(count).join(' ').trimEnd()

interface Steps {
  readonly timesMs: readonly number[]
  readonly stepMs: number
}

function plots({ sinceMs, untilMs, stepSeconds, points, total }: StatsReport, nowMs: number): Html {
  const stepMs = stepSeconds * 1_000
  const timesMs = Array.from(
    { length: Math.max(1, Math.round((untilMs - sinceMs) / stepMs)) },
    (_, at) => sinceMs + at * stepMs,
  )
  const byTime = new Map(points.map((point) => [point.atMs, point]))
  const measured = (of: (numbers: StatNumbers) => number | undefined) =>
    timesMs.map((ms) => {
      const point = byTime.get(ms)
      return point && of(point)
    })
  const counts = (of: (numbers: StatNumbers) => number) => measured(of).map((count = 0) => count)
  const steps = { timesMs, stepMs }
  const received = counts((point) => point.received)
  const isLastOpen = untilMs > nowMs && points.some(({ atMs }) => atMs < untilMs - stepMs)
  return html`<div class="plots">
${plot({
  ...steps,
  isLastOpen,
  id: 'plot-events',
  title: 'Received, handled, failed',
  scale: `per ${duration(stepMs)}, two scales`,
  finding: `${whole(total.received)} received, ${whole(total.handled)} attempts succeeded, ${whole(total.failed)} failed${peak(received, steps, whole)}`,
  written: short,
  series: [
    { name: 'received', as: 'main', values: received },
    { name: 'handled', as: 'second', values: counts(({ handled }) => handled) },
    { name: 'failed', as: 'failures', values: counts(({ failed }) => failed) },
  ],
})}
${timesPlot({ id: 'plot-ack', title: 'Acknowledgement', total: total.ack, of: ({ ack }) => ack, isLog: false }, measured, steps)}
${timesPlot({ id: 'plot-queue', title: 'Queue delay', total: total.queue, of: ({ queue }) => queue, isLog: true }, measured, steps)}
</div>`
}

/** Where a line is highest. */
function peak(values: readonly (number | undefined)[], { timesMs }: Steps, written: (value: number) => string): string {
  const most = Math.max(0, ...values.map((value) => value ?? 0))
  if (most === 0) return ''
  const at = new Date(timesMs[values.indexOf(most)] ?? 0).toISOString()
  return `; most at ${at.slice(11, 16)} UTC: ${written(most)}`
}

interface Times {
  readonly id: string
  readonly title: string
  readonly total: StatTimes
  readonly of: (numbers: StatNumbers) => StatTimes
  readonly isLog: boolean
}

function timesPlot(
  { id, title, total: { p50Ms, p99Ms }, of, isLog }: Times,
  measured: (of: (numbers: StatNumbers) => number | undefined) => readonly (number | undefined)[],
  steps: Steps,
): Html {
  const p99 = measured((numbers) => of(numbers).p99Ms)
  return plot({
    ...steps,
    id,
    title,
    isLog,
    isNarrow: true,
    scale: isLog ? 'log scale' : 'milliseconds',
    finding:
      p99Ms === undefined
        ? 'nothing was measured'
        : `median ${duration(p50Ms ?? 0)}, 99th percentile ${duration(p99Ms)}${peak(p99, steps, duration)}`,
    written: (ms) => (isLog ? duration(ms) : ms < 10 ? ms.toFixed(1).replace('.0', '') : whole(ms)),
    series: [
      { name: 'p99', as: 'main', values: p99 },
      { name: 'p50', as: 'second', values: measured((numbers) => of(numbers).p50Ms) },
    ],
  })
}
