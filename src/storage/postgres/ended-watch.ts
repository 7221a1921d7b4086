import type { TaskName } from '../../domain/task-store.ts'
import type { Connections } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'

/** After an end there may be more; without, it looks ever more seldom. */
const SHORTEST_MS = 50
const LONGEST_MS = 400
/** A commit may become visible so long after the time that it bears. */
const OVERLAP_MS = 6_000
const MAX_ENDS = 5_000

const ENDED = {
  name: 'ended-since',
  text: 'SELECT uid, source, id, ended_at FROM task WHERE ended_at >= $1 ORDER BY ended_at LIMIT $2',
}

interface EndedRow extends TaskName, Record<string, unknown> {
  readonly ended_at: number
}

/**
 * Looks for ends of tasks that other replicas bring, while somebody waits: one look for all who do. It costs what ends, not
 * what waits.
 */
export function watchEnds(
  connections: Connections,
  clock: DatabaseClock,
  listener: (name: TaskName) => void,
): () => void {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let waitMs = SHORTEST_MS
  let sinceMs: number | undefined
  let told = new Set<string>()

  async function look(): Promise<void> {
    try {
      sinceMs ??= await startMs()
      const rows = await connections.run<EndedRow>('read', ENDED, [sinceMs, MAX_ENDS])
      const fresh = rows.filter(({ uid }) => !told.has(uid))
      if (!stopped) for (const { uid, source, id } of fresh) listener({ uid, source, id })
      waitMs = fresh.length > 0 ? SHORTEST_MS : Math.min(LONGEST_MS, waitMs * 2)
      const last = rows.at(-1)
      if (last !== undefined) {
        const from = rows.length === MAX_ENDS ? last.ended_at : Math.max(sinceMs, last.ended_at - OVERLAP_MS)
        sinceMs = from
        told = new Set(rows.filter(({ ended_at }) => ended_at >= from).map(({ uid }) => uid))
      }
    } catch {
      // The database's trouble is told of elsewhere; whoever waits looks for himself in the end.
      waitMs = LONGEST_MS
    }
    if (!stopped) timer = setTimeout(() => void look(), waitMs)
  }

  async function startMs(): Promise<number> {
    const [row] = await connections.run<{ now: number }>('read', 'SELECT clock_1($1) AS now', [clock.givenMs()])
    return (row?.now ?? clock.localMs()) - OVERLAP_MS
  }

  void look()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
