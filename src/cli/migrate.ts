import { ConfigurationError } from '../domain/errors.ts'
import type { MoveOutcome, TableComparison } from '../domain/move.ts'
import { databaseFile, databaseUrlFaults, namesPostgres } from '../storage/database-url.ts'
import {
  type CliIo,
  type Command,
  CommandError,
  EXIT_FAILED,
  EXIT_OK,
  parse,
  UsageError,
  write,
  writeJson,
} from './command.ts'
import { MoveLine } from './move-line.ts'
import { table } from './table.ts'

const AGAIN = 'Run the same command again, and it goes on from there.'
const DIFFERS =
  'The move is not finished, and no service starts on the target. If the embedded store was used after the move had begun, drop the schema in PostgreSQL and run the same command again.'

export const migrate: Command = {
  name: 'migrate',
  operands: '--from <file:path> [options]',
  summary: 'Moves all that an embedded store holds into PostgreSQL, and verifies it.',
  options: [
    ['--from <file:path>', 'the embedded store; no service may use it meanwhile, and it is kept'],
    ['--to <postgres-url>', 'an empty database, or a schema in it; DATABASE_URL unless given'],
    ['--json', 'the summary as JSON'],
  ],
  run: async (args, io) => {
    const { from, to, json } = parseUrls(args)
    const request = { from: pathOf(from), to: targetOf(to, io) }
    const line = new MoveLine(io.err)
    try {
      const outcome = await io.move({ ...request, onProgress: (progress) => line.show(progress) })
      line.end()
      return await report(outcome, json === true, io)
    } catch (error) {
      line.end()
      if (!(error instanceof ConfigurationError)) throw error
      const faults = error.faults.map((fault) => fault.replaceAll('DATABASE_URL', nameOf(to)))
      throw new CommandError(faults.join(' '))
    }
  },
}

/** What is not understood is not repeated: it may hold a password. */
function parseUrls(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parse(args, { from: text, to: text, json: { type: 'boolean' } }, []).values
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(error.message.replace(/\S*:\/\/\S*/g, 'a URL'))
    throw error
  }
}

function pathOf(from: string | undefined): string {
  if (from === undefined) throw new UsageError('--from is missing')
  const path = databaseFile(from)
  if (path === undefined) throw new UsageError('--from is file: and the path of an embedded store')
  return path
}

const nameOf = (to: string | undefined): string => (to === undefined ? 'DATABASE_URL' : '--to')

function targetOf(to: string | undefined, io: CliIo): string {
  const url = to ?? io.read().config.databaseUrl
  if (!namesPostgres(url)) {
    throw new UsageError(
      to === undefined ? '--to is missing, and DATABASE_URL does not name PostgreSQL' : '--to is a postgres:// URL',
    )
  }
  const [fault] = databaseUrlFaults(url)
  if (fault !== undefined) throw new UsageError(fault.replaceAll('DATABASE_URL', nameOf(to)))
  return url
}

async function report(outcome: MoveOutcome, json: boolean, io: CliIo): Promise<number> {
  if (outcome.outcome === 'stopped') {
    const { at } = outcome
    const where = at === undefined ? '' : ` while ${at.step} ${at.table}: ${at.done} of ${at.total} rows`
    throw new CommandError(`stopped${where}. ${AGAIN}`)
  }
  const { tables, resumed } = outcome
  const difference = outcome.outcome === 'differs' ? outcome.difference : null
  if (json) await writeJson(io.out, { equal: difference === null, resumed, tables: tables.map(shown), difference })
  else await write(io.out, table(['TABLE', 'ROWS', 'CHECKSUM (SHA-256)', 'EQUAL'], tables.map(row)))
  if (difference === null) return EXIT_OK
  await write(io.err, `holdfast migrate: ${difference.table} differs, first at key ${difference.key}. ${DIFFERS}\n`)
  return EXIT_FAILED
}

const shown = ({ table: name, source, target, equal }: TableComparison) => ({
  table: name,
  ...source,
  equal,
  ...(!equal && { target }),
})

const row = ({ table: name, source, target, equal }: TableComparison): readonly string[] => [
  name,
  source.rows === target.rows ? String(source.rows) : `${source.rows} / ${target.rows}`,
  source.checksum,
  equal ? 'yes' : 'no',
]
