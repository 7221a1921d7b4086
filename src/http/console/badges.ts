import type { ReadStatus, ServiceStatus } from '../../domain/status.ts'
import { within } from '../../domain/within.ts'
import type { Badge, Badges } from './html/layout.ts'
import { counted, whole } from './html/words.ts'
import { runningOf } from './pages/running-replays.ts'
import type { ConsolePorts } from './ports.ts'
import { Recent } from './recent.ts'

/** How long the numbers are given again: all pages share one reading. */
const FRESH_MS = 3_000
/** A page does not wait longer for its numbers: it has those of before, unless they are old, or none. */
const WAIT_MS = 250
const OLD_MS = 30_000

/** The numbers beside the sections, from what the service knows at a glance. Resolves with undefined if they are not known in time. */
export function readBadges(ports: Pick<ConsolePorts, 'status' | 'replays'>): () => Promise<Badges | undefined> {
  const known = new Recent<Badges>(FRESH_MS, 1)
  let last: { readonly badges: Badges; readonly atMs: number } | undefined
  const readNow = async (): Promise<Badges> => {
    const badges = await read(ports)
    last = { badges, atMs: performance.now() }
    return badges
  }
  return async () => {
    const badges = await within(WAIT_MS, known.of('', readNow))
    if (badges !== undefined) return badges
    return last !== undefined && performance.now() - last.atMs < OLD_MS ? last.badges : undefined
  }
}

async function read({ status, replays }: Pick<ConsolePorts, 'status' | 'replays'>): Promise<Badges> {
  const [seen, running] = await Promise.all([status(), runningOf({ replays }).catch(() => [])])
  return badgesOf(seen, running.length)
}

/** What stands at the foot of the rail about the processes: nothing if there is one. */
export function readAbout({ status }: { readonly status: ReadStatus }): () => Promise<string> {
  return async () => {
    const seen = await within(WAIT_MS, status())
    const { workers = 1, role } = seen ?? {}
    return workers < 2 ? '' : counted(workers, role === 'all' ? 'replica' : 'worker')
  }
}

/** Only what somebody may want to act on. */
export function badgesOf({ counts, problems }: Pick<ServiceStatus, 'counts' | 'problems'>, replays: number): Badges {
  const pressing = problems.filter(({ severity }) => severity !== 'notice')
  const named = (field: 'source' | 'handler'): number =>
    new Set(pressing.filter(({ problem }) => problem !== 'dead_letters').flatMap((each) => each[field] ?? [])).size
  // As their own pages show them.
  const toneOf = (field: 'source' | 'handler'): Badge['tone'] =>
    pressing.some(
      (each) => each[field] !== undefined && (each.severity === 'critical' || each.problem === 'handler_failing'),
    )
      ? 'bad'
      : 'warn'
  const stale = pressing.filter(({ problem }) => problem === 'tasks_stuck' || problem === 'tasks_expired')
  return {
    ...badge('dead', counts?.deliveries.dead ?? 0, 'bad'),
    ...badge('replays', replays, 'quiet'),
    ...badge(
      'tasks',
      stale.reduce((sum, { count }) => sum + count, 0),
      'warn',
    ),
    ...badge('sources', named('source'), toneOf('source')),
    ...badge('handlers', named('handler'), toneOf('handler')),
  }
}

const badge = (section: keyof Badges, count: number, tone: Badge['tone']): Badges =>
  count === 0 ? {} : { [section]: { text: whole(count), tone } }
