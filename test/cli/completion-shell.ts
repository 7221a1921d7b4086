import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'

/** Names that the completions ask the service for. The last one would run a command if a shell expanded it. */
const NAMES = { source: ['ai', 'stripe'], handler: ['billing:invoice.paid', 'log', '$(touch expanded)'] }

export interface Shell {
  /** What the shell writes when it runs the script, with the completions of Holdfast loaded by `load`. */
  readonly run: (program: string, ...args: readonly string[]) => string
  readonly completions: string
  readonly directory: string
  /** Whether a name was expanded. */
  readonly hasExpanded: () => boolean
}

/** A folder with the completions of a shell, in which `holdfast completion names` gives the names above. */
export async function shellFor(shell: string, onEnd?: (end: () => void) => void): Promise<Shell> {
  const directory = temporaryDirectory(onEnd)
  const { code, out } = await run(['completion', shell])
  if (code !== 0) throw new Error(`completion ${shell} exits with ${code}`)
  const completions = join(directory, `completion.${shell}`)
  writeFileSync(completions, out)
  const cases = Object.entries(NAMES).map(
    ([field, names]) => `'completion names ${field}') printf '%s\\n' ${names.map((name) => `'${name}'`).join(' ')} ;;`,
  )
  writeFileSync(join(directory, 'holdfast'), `#!/bin/sh\ncase "$*" in ${cases.join(' ')} esac\n`)
  chmodSync(join(directory, 'holdfast'), 0o755)
  return {
    directory,
    completions,
    hasExpanded: () => existsSync(join(directory, 'expanded')),
    run: (program, ...args) =>
      execFileSync(program, args, {
        cwd: directory,
        env: { ...process.env, PATH: `${directory}:${process.env.PATH}`, HOME: directory, TERM: 'dumb' },
        encoding: 'utf8',
        timeout: 30_000,
      }),
  }
}
