import type { ReadStatus, ServiceStatus } from '../../domain/status.ts'
import type { Badge, Badges } from './html/layout.ts'
import { counted, whole } from './html/words.ts'

/** The numbers beside the sections, from what the service knows at a glance. */
export function readBadges({ status }: { readonly status: ReadStatus }): () => Promise<Badges> {
  return async () => badgesOf(await status())
}

/** What stands at the foot of the rail about the processes: nothing if there is one. */
export function readAbout({ status }: { readonly status: ReadStatus }): () => Promise<string> {
  return async () => {
    const { workers = 1, role } = await status()
    return workers < 2 ? '' : counted(workers, role === 'all' ? 'replica' : 'worker')
  }
}

function badgesOf({ counts, problems }: ServiceStatus): Badges {
  const named = (field: 'source' | 'handler'): number =>
    new Set(problems.filter((each) => each.severity !== 'notice').flatMap((each) => each[field] ?? [])).size
  return {
    ...badge('dead', counts?.deliveries.dead ?? 0, 'bad'),
    ...badge('tasks', counts?.tasks.pending ?? 0, 'quiet'),
    ...badge('sources', named('source'), 'warn'),
    ...badge('handlers', named('handler'), 'warn'),
  }
}

const badge = (section: keyof Badges, count: number, tone: Badge['tone']): Badges =>
  count === 0 ? {} : { [section]: { text: whole(count), tone } }
