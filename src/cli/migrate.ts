import { ConfigurationError } from '../domain/errors.ts'
import type { MoveOutcome, MoveProgress, TableComparison } from '../domain/store-move.ts'
import { databaseFile, databaseUrlFaults, namesPostgres } from '../storage/shared/database-url.ts'
import { type CliIo, CommandError, command, EXIT_FAILED, EXIT_OK, UsageError } from './command.ts'
import { userName } from './ops-client.ts'
import { write, writeJson } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import { type Columns, count, state, table, whole } from './table.ts'
import { viewOf } from './view.ts'

const AGAIN = 'Run the same command again, and it goes on from there.'
const DIFFERS =
  'The move is not finished, and no service starts on the target. If the embedded store was used after the move had begun, drop the schema in PostgreSQL and run the same command again.'

export const migrate = command({
  name: 'migrate',
  summary: 'Moves all that an embedded store holds into PostgreSQL, and verifies it.',
  operands: [],
  flags: {
    from: {
      value: '<file:path>',
      help: 'the embedded store; no service may use it meanwhile, and it is kept',
      required: true,
    },
    to: { value: '<postgres-url>', help: 'an empty database, or a schema in it; DATABASE_URL unless given' },
    json: { help: 'the summary as JSON' },
  },
  hidesUrls: true,
  run: async ({ flags: { from, to, json } }, io) => {
    const by = userName()
    const request = { from: pathOf(from), to: targetOf(to, io), ...(by !== undefined && { by }) }
    const line = new ProgressLine(io.err)
    let isTold = false
    const onProgress = ({ step, table: name, done, total, resumed }: MoveProgress): void => {
      if (resumed && !isTold && (done < total || step === 'verifying')) {
        io.err.write(`goes on ${step} ${name} after ${done} of ${total} rows\n`)
        isTold = true
      }
      line.show({ what: `${step} ${name}`, done, total })
    }
    try {
      const outcome = await io.move({ ...request, onProgress })
      line.end()
      return await report(outcome, json, io)
    } catch (error) {
      line.end()
      if (!(error instanceof ConfigurationError)) throw error
      const faults = error.faults.map((fault) => fault.replaceAll('DATABASE_URL', nameOf(to)))
      throw new CommandError(faults.join(' '))
    }
  },
})

function pathOf(from: string): string {
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
  else await write(io.out, table(viewOf(io.out), columns, tables))
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

const columns: Columns<TableComparison> = [
  whole('TABLE', (compared) => compared.table),
  count('ROWS', ({ source, target }) =>
    source.rows === target.rows ? source.rows : `${source.rows} / ${target.rows}`,
  ),
  whole('CHECKSUM (SHA-256)', ({ source }) => source.checksum),
  state('EQUAL', ({ equal }) => (equal ? 'yes' : 'no')),
]
