import { toIso } from '../domain/clock.ts'
import { ConfigurationError } from '../domain/errors.ts'
import type { Backup } from '../domain/store-backup.ts'
import { CommandError, command, configOf, EXIT_OK } from './command.ts'
import { fields, shortDuration, shownFlags, writeAnswer } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import { sizeOf, timeIn, type View } from './view.ts'

export const backup = command({
  name: 'backup',
  summary: 'Writes a verified copy of the store into a new file, while services use the store or not.',
  operands: ['file'],
  flags: shownFlags,
  run: async ({ operands: [file], flags }, io) => {
    const { databaseUrl } = configOf(io, /^DATABASE_URL/)
    const lines = { bytes: new ProgressLine(io.err, sizeOf), rows: new ProgressLine(io.err) }
    try {
      const made = await io.backUp({
        databaseUrl,
        file,
        onProgress: ({ step, unit, what, done, total }) => lines[unit].show({ what: `${step} ${what}`, done, total }),
      })
      for (const line of Object.values(lines)) line.end()
      if (made.outcome === 'stopped') throw new CommandError('stopped: there is no backup, and nothing is left of it')
      await writeAnswer(io, answerOf(made.backup), flags, describe)
      return EXIT_OK
    } catch (error) {
      for (const line of Object.values(lines)) line.end()
      throw error instanceof ConfigurationError ? new CommandError(error.faults.join(' ')) : error
    }
  },
})

interface BackupAnswer {
  readonly file: string
  readonly bytes: number
  readonly rows: Readonly<Record<string, number>>
  readonly last_event_at: string | null
  readonly duration_ms: number
}

const answerOf = ({ file, bytes, rows, lastEventAtMs, durationMs }: Backup): BackupAnswer => ({
  file,
  bytes,
  rows,
  last_event_at: lastEventAtMs === undefined ? null : toIso(lastEventAtMs),
  duration_ms: Math.round(durationMs),
})

function describe({ file, bytes, rows, last_event_at, duration_ms }: BackupAnswer, view: View): string {
  return fields(view, [
    ['backup', file],
    ['size', sizeOf(bytes)],
    ['events', String(rows.event ?? 0)],
    ['deliveries', String(rows.delivery ?? 0)],
    ['tasks', String(rows.task ?? 0)],
    ['newest event', last_event_at === null ? 'none' : timeIn(view, last_event_at)],
    ['verified', `read back whole, in ${shortDuration(duration_ms)} with the copy`],
  ])
}
