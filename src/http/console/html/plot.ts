import { scaleLinear, scaleLog } from 'd3-scale'
import { area, line } from 'd3-shape'
import { between, type Html, html, NOTHING, own, when } from './html.ts'
import { day } from './words.ts'

/** One line of a plot. A value is undefined where nothing was measured; the line has a gap there. */
export interface Series {
  readonly name: string
  /** The main line has an area below it, the second is dashed, and failures stand in a lane below with a scale of their own. */
  readonly as: 'main' | 'second' | 'failures'
  readonly values: readonly (number | undefined)[]
}

export interface Plot {
  /** Unique in its page. */
  readonly id: string
  readonly title: string
  /** How to read the scale, such as `milliseconds`. */
  readonly scale: string
  /** What the plot shows, in a sentence: for those who do not see it. */
  readonly finding: string
  readonly series: readonly Series[]
  readonly timesMs: readonly number[]
  readonly stepMs: number
  readonly isLog?: boolean
  /** It stands beside a wider one, and is as high. */
  readonly isNarrow?: boolean
  /** The last step is not over: of a count it has less than a whole one, and the line would look like a fall. */
  readonly isLastOpen?: boolean
  readonly written: (value: number) => string
}

const WIDTH = 380
const NARROW_WIDTH = 304
const LEFT = 44
/** For the labels of lines; in a narrow plot they are short. */
const RIGHT = 64
const NARROW_RIGHT = 34
const TOP = 8
const LINES_HEIGHT = 96
const LANE_HEIGHT = 26
const LANE_GAP = 8
const AXIS_HEIGHT = 18
const RULES = 3
const TIMES = 4

/** A plot over time, with the same numbers as a table. */
export function plot(given: Plot): Html {
  const { id, title, scale, finding } = given
  return html`<figure class="card plot" aria-labelledby="${own(id)}">
<figcaption><h3 id="${own(id)}">${own(title)}</h3><span class="tiny muted">${own(scale)}</span></figcaption>
${drawing(given, finding)}
<details id="${own(id)}-numbers"><summary>Numbers<span class="hide">: ${own(title)}</span></summary>${numbers(given)}</details>
</figure>`
}

function drawing(given: Plot, finding: string): Html {
  const { series, timesMs, stepMs } = given
  const lanes = series.filter(({ as }) => as === 'failures')
  const height = TOP + LINES_HEIGHT + LANE_GAP + LANE_HEIGHT + AXIS_HEIGHT
  const x = scaleLinear([timesMs[0] ?? 0, (timesMs.at(-1) ?? 0) + stepMs], [LEFT, endOf(given)])
  const name = own(`${given.id}-finding`)
  return html`<svg viewBox="0 0 ${given.isNarrow === true ? NARROW_WIDTH : WIDTH} ${height}" role="img" aria-labelledby="${name}"><title id="${name}">${own(finding)}</title><g aria-hidden="true">
${lines(given, x)}
${lanes.map((each) => lane(each, given, x))}
${axis(given, x, height)}
${hits(given, x)}
</g></svg>`
}

/** Where the lines end. */
const endOf = ({ isNarrow = false }: Pick<Plot, 'isNarrow'>): number =>
  isNarrow ? NARROW_WIDTH - NARROW_RIGHT : WIDTH - RIGHT

type Position = (ms: number) => number

function lines(given: Plot, x: Position): Html {
  const { series, timesMs, stepMs, isLog = false, isNarrow = false, isLastOpen = false, written } = given
  const end = endOf({ isNarrow })
  const drawn = series
    .filter(({ as }) => as !== 'failures')
    .map((each) => (isLastOpen ? { ...each, values: each.values.slice(0, -1) } : each))
  const values = drawn.flatMap((each) => each.values.filter((value) => value !== undefined))
  const most = Math.max(1, ...values)
  const least = Math.min(...values.filter((value) => value > 0), most)
  // Without a lane below, the lines have its room.
  const bottom = TOP + LINES_HEIGHT + (series.every(({ as }) => as !== 'failures') ? LANE_GAP + LANE_HEIGHT : 0)
  const y = isLog
    ? scaleLog([Math.min(least, most / 10), most], [bottom, TOP])
        .clamp(true)
        .nice()
    : scaleLinear([0, most], [bottom, TOP]).nice(RULES)
  const ticks = isLog ? y.ticks(RULES).filter((tick) => Number.isInteger(Math.log10(tick))) : y.ticks(RULES)
  // Of counts, halves would read like the wholes beside them.
  const rules = ticks.filter((tick, at) => at === 0 || written(tick) !== written(ticks[at - 1] ?? 0))
  const place = (at: number): number => x((timesMs[at] ?? 0) + stepMs / 2)
  return html`${rules.map(
    (tick) =>
      html`<path class="grid" d="M${LEFT} ${round(y(tick))}H${end}"/><text x="${LEFT - 6}" y="${round(y(tick) + 4)}" text-anchor="end">${own(written(tick))}</text>`,
  )}${drawn.map((each) => lineOf(each, place, y, bottom))}${labels(drawn, y, end)}`
}

function lineOf({ as, values }: Series, x: (at: number) => number, y: Position, bottom: number): Html {
  const isThere = (value: number | undefined): boolean => value !== undefined
  const drawLine = line<number | undefined>()
    .defined(isThere)
    .x((_, at) => round(x(at)))
    .y((value) => round(y(value ?? 0)))
  const name = own(as === 'main' ? 'l1' : 'l2')
  // A line through one point is none.
  const alone = values.map((value, at) =>
    value === undefined || isThere(values[at - 1]) || isThere(values[at + 1])
      ? NOTHING
      : html`<circle class="${name}" cx="${round(x(at))}" cy="${round(y(value))}" r="1.5"/>`,
  )
  const stroke = html`<path class="${name}" d="${own(drawLine(values) ?? '')}"/>${alone}`
  if (as !== 'main') return stroke
  const drawArea = area<number | undefined>()
    .defined(isThere)
    .x((_, at) => round(x(at)))
    .y0(bottom)
    .y1((value) => round(y(value ?? 0)))
  return html`<path class="a1" d="${own(drawArea(values) ?? '')}"/>${stroke}`
}

/** Labels at the ends of the lines, apart from each other. */
function labels(series: readonly Series[], y: Position, end: number): Html {
  const placed = series
    .map(({ name, values }) => ({ name, at: y(values.findLast((value) => value !== undefined) ?? 0) }))
    .toSorted((one, other) => one.at - other.at)
  let last = Number.NEGATIVE_INFINITY
  return html`${placed.map(({ name, at }) => {
    last = Math.max(at, last + 12)
    return html`<text class="lab" x="${end + 6}" y="${round(last + 4)}">${own(name)}</text>`
  })}`
}

function lane({ name, values }: Series, { timesMs, stepMs, written }: Plot, x: Position): Html {
  const top = TOP + LINES_HEIGHT + LANE_GAP
  const most = Math.max(0, ...values.map((value) => value ?? 0))
  const height = scaleLinear([0, Math.max(1, most)], [0, LANE_HEIGHT])
  const width = Math.max(1, x((timesMs[0] ?? 0) + stepMs) - x(timesMs[0] ?? 0) - 0.5)
  const bars = values.map((value = 0, at) =>
    value === 0
      ? NOTHING
      : html`<rect class="abad" x="${round(x(timesMs[at] ?? 0))}" y="${round(top + LANE_HEIGHT - Math.max(1, height(value)))}" width="${round(width)}" height="${round(Math.max(1, height(value)))}"/>`,
  )
  return html`<path class="axis" d="M${LEFT} ${top + LANE_HEIGHT}H${WIDTH - RIGHT}"/>${bars}${when(most > 0, () => html`<text x="${LEFT - 6}" y="${top + 16}" text-anchor="end">${own(written(most))}</text>`)}<text class="lab${own(most > 0 ? ' bad' : '')}" x="${WIDTH - RIGHT + 6}" y="${top + LANE_HEIGHT - 2}">${own(name)}</text>`
}

function axis({ timesMs, stepMs }: Plot, x: Position, height: number): Html {
  const [first, last] = [timesMs[0] ?? 0, (timesMs.at(-1) ?? 0) + stepMs]
  const isLong = last - first > 2 * DAY_MS
  const step = niceStep((last - first) / TIMES)
  const times: number[] = []
  for (let at = Math.ceil(first / step) * step; at < last; at += step) times.push(at)
  return html`${times.map((ms) => {
    const iso = new Date(ms).toISOString()
    return html`<text x="${round(x(ms))}" y="${height - 4}" text-anchor="middle">${own(isLong ? `${Number(iso.slice(8, 10))}.` : iso.slice(11, 16))}</text>`
  })}`
}

const NICE_STEPS_MS = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880].map((minutes) => minutes * 60_000)
const niceStep = (ms: number): number => NICE_STEPS_MS.find((each) => each >= ms) ?? 2_880 * 60_000

/** What a pointer shows: the numbers of a step. The sheet makes the columns as high as the plot. */
function hits(given: Plot, x: Position): Html {
  const { timesMs, stepMs, series } = given
  return html`<g class="hit">${timesMs.map((ms, at) => {
    // Where nothing happened, there is nothing to show.
    if (series.every(({ values }) => (values[at] ?? 0) === 0)) return NOTHING
    const texts = series.map(({ name, values }) => `${name} ${valueIn(given, values[at])}`)
    return html`<rect x="${round(x(ms))}" width="${round(x(ms + stepMs) - x(ms))}"><title>${own(`${momentIn(given, ms)}: ${texts.join(', ')}`)}</title></rect>`
  })}</g>`
}

/** The time of a step, with its day if the plot has several: short, since it stands there hundreds of times. */
function momentIn({ timesMs }: Plot, ms: number): string {
  const clock = new Date(ms).toISOString().slice(11, 16)
  return (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0) > DAY_MS ? `${day(ms, ms)} ${clock}` : clock
}

const DAY_MS = 86_400_000

const valueIn = ({ written }: Plot, value: number | undefined): string => (value === undefined ? '–' : written(value))

function numbers(given: Plot): Html {
  const { series, timesMs, title } = given
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${own(`${title}, numbers`)}"><table><thead><tr><th scope="col">UTC</th>${series.map(({ name }) => html`<th class="num" scope="col">${own(name)}</th>`)}</tr></thead><tbody>${timesMs
    .map((ms, at) => ({ ms, cells: series.map(({ values }) => values[at]) }))
    .filter(({ cells }) => cells.some((value) => value !== undefined && value !== 0))
    .toReversed()
    .map(
      ({ ms, cells }) =>
        html`<tr><td>${own(momentIn(given, ms))}</td>${cells.map((value) => html`<td class="num">${own(valueIn(given, value))}</td>`)}</tr>`,
    )}</tbody></table></div>`
}

const SPARK_WIDTH = 84
const SPARK_HEIGHT = 20

/**
 * A small line beside a name, without a scale; its numbers stand in the words beside it. `failures` are a second line, on the same scale
 * and only if there are any.
 */
export function spark(values: readonly number[], failures: readonly number[] = []): Html {
  if (values.length === 0) return NOTHING
  const most = Math.max(1, ...values, ...failures)
  const x = scaleLinear([0, Math.max(1, values.length - 1)], [1, SPARK_WIDTH - 3])
  const y = scaleLinear([0, most], [SPARK_HEIGHT - 2, 2])
  const draw = line<number>()
    .x((_, at) => round(x(at)))
    .y((value) => round(y(value)))
  const failed = failures.some((value) => value > 0)
    ? html`<path class="f" d="${own(draw(failures) ?? '')}"/>`
    : NOTHING
  return html`<svg class="spark" viewBox="0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}" aria-hidden="true"><path d="${own(draw(values) ?? '')}"/>${failed}<circle cx="${round(x(values.length - 1))}" cy="${round(y(values.at(-1) ?? 0))}" r="1.6"/></svg>`
}

/** Bars of the last hours. */
export function bars(values: readonly number[], label: string): Html {
  const most = Math.max(1, ...values)
  const width = 132 / Math.max(1, values.length)
  return html`<svg class="bars" viewBox="0 0 132 30" role="img" aria-label="${own(label)}">${between(
    values.map((value, at) => {
      const height = value === 0 ? 1 : Math.max(2, (value / most) * 28)
      return html`<rect${value === 0 ? EMPTY : NOTHING} x="${round(at * width)}" y="${round(30 - height)}" width="${round(width - 1.2)}" height="${round(height)}"/>`
    }),
    NOTHING,
  )}</svg>`
}

const EMPTY = html` class="z"`

const round = (number: number): number => Math.round(number * 10) / 10
