import { type Command, UsageError } from './command.ts'

/** The process itself runs these two (`main.ts`); here they are only told about, and asked for wrongly. */
const inProcess = async (args: readonly string[]): Promise<number> => {
  throw new UsageError(`unexpected ${args.join(' ')}`)
}

export const serve: Command = {
  name: 'serve',
  operands: '',
  summary: 'Runs the service; the default.',
  options: [],
  run: inProcess,
}

export const check: Command = {
  name: 'check',
  operands: '[options]',
  summary: 'Checks configuration and modules; exit code 78 if the service could not start.',
  options: [['--json', 'the faults as JSON']],
  run: inProcess,
}
