import type { ProblemItemJson, StatusJson } from '../http/schemas/status.ts'
import { command, EXIT_FAILED, EXIT_OK } from './command.ts'
import { wrapped } from './help.ts'
import { withOps } from './ops-client.ts'
import { fields, printable, shownFlags, writeAnswer } from './output.ts'
import { ago, painted, type Style, sizeOf, span, timeIn, type View } from './view.ts'

export const status = command({
  name: 'status',
  summary: 'Tells whether the service is well, what needs a hand, and which command helps.',
  operands: [],
  flags: { check: { help: 'exit code 1 unless the service is well' }, ...shownFlags },
  run: async ({ flags: { check, ...shown } }, io) =>
    withOps(io, async (ops) => {
      const answer = await ops.get<StatusJson>('/v1/status')
      await writeAnswer(io, answer, shown, describe)
      return check && !answer.well ? EXIT_FAILED : EXIT_OK
    }),
})

const STYLES: Readonly<Record<ProblemItemJson['severity'], Style>> = {
  critical: ['bold', 'red'],
  warning: 'yellow',
  notice: 'gray',
}

function describe(answer: StatusJson, view: View): string {
  const problems = answer.problems.map((problem) => describeProblem(problem, Date.parse(answer.at), view))
  return [headline(answer, view), ...problems, figures(answer, view)].join('\n')
}

function headline({ well, problems }: StatusJson, view: View): string {
  if (problems.length === 0) return `${painted(view, 'green', 'Well: nothing needs a hand.')}\n`
  const notices = problems.filter(({ severity }) => severity === 'notice').length
  const noticed = notices === 0 ? '' : `${notices} notice${notices === 1 ? '' : 's'}`
  if (well) return `${painted(view, 'green', 'Well')}, with ${noticed}:\n`
  const bad = problems.length - notices
  const text = `${bad} problem${bad === 1 ? ' needs' : 's need'} a hand`
  const style = STYLES[problems[0]?.severity ?? 'warning']
  return `${painted(view, style, text)}${notices === 0 ? ':' : `, and ${noticed}:`}\n`
}

/** The word for its weight, what it is and where, since when; the command on a line of its own, to be copied. */
function describeProblem(
  { severity, summary, since, last_at, cause, command, ...target }: ProblemItemJson,
  nowMs: number,
  view: View,
): string {
  const where = [target.source, target.handler].filter((name) => name !== null).join(', ')
  const text = [
    where === '' ? summary : `${where}: ${summary}`,
    cause === null ? '' : ` (${cause})`,
    since === null ? '' : `, since ${timeIn(view, since)} (${ago(since, nowMs)})`,
    last_at === null ? '' : `, last ${timeIn(view, last_at)} (${ago(last_at, nowMs)})`,
  ].join('')
  const indent = ' '.repeat(severity.length + 2)
  const [first = '', ...rest] = wrapped(printable(text), (view.columns ?? Infinity) - indent.length)
  return [
    `${painted(view, STYLES[severity], severity)}  ${first}`,
    ...rest.map((line) => `${indent}${line}`),
    ...(command === null ? [] : [`${indent}${painted(view, 'cyan', printable(command))}`]),
    '',
  ].join('\n')
}

function figures(answer: StatusJson, view: View): string {
  const { version, role, uptime_seconds, store, deliveries, tasks, recent, last_event_at, workers } = answer
  return fields(view, [
    ['version', `${version}, role ${role}, up ${span(uptime_seconds * 1_000)}`],
    ['store', describeStore(store)],
    ['sources', `${answer.sources}, ${answer.handlers} handler${answer.handlers === 1 ? '' : 's'}`],
    ['workers', workers === null ? undefined : String(workers)],
    ['deliveries', deliveries === null ? 'not known: the store does not answer' : countsOf(deliveries)],
    ['tasks', tasks === null ? undefined : countsOf(tasks)],
    ['last event', last_event_at === null ? 'none yet' : `${ago(last_event_at, Date.parse(answer.at))}`],
    [`last ${recent?.minutes ?? 0} min`, recent === null ? undefined : describeRecent(recent)],
  ])
}

function describeStore({ kind, ready, bytes, free_bytes }: StatusJson['store']): string {
  const size = bytes === null ? '' : `, ${sizeOf(bytes)}`
  const free = free_bytes === null ? '' : `, ${sizeOf(free_bytes)} free on its disk`
  return `${kind}, ${ready ? 'stores events' : 'cannot store events'}${size}${free}`
}

const countsOf = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([word, count]) => `${count} ${word}`)
    .join(', ') || 'none'

function describeRecent({
  received,
  duplicates,
  refused,
  handled,
  failed,
  dead,
  ack,
}: NonNullable<StatusJson['recent']>): string {
  const counts = countsOf({ received, duplicates, refused, handled, failed, dead })
  return ack.p50_ms === null || ack.p99_ms === null
    ? counts
    : `${counts}; acknowledged in ${Math.ceil(ack.p50_ms)} ms (median), ${Math.ceil(ack.p99_ms)} ms (99th percentile)`
}
