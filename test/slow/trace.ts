import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** A system call that has returned. */
export interface Call {
  readonly thread: string
  readonly name: string
  /** As strace shows them. */
  readonly args: string
  /** Places in the trace where it began and returned; they rise with time. */
  readonly began: number
  readonly returned: number
}

const WHOLE = /^(?<thread>\d+) +(?<name>\w+)\((?<args>.*)\) += (?<result>-?\d+)/s
const BEGUN = /^(?<thread>\d+) +(?<name>\w+)\((?<args>.*) <unfinished \.\.\.>$/s
const RESUMED = /^(?<thread>\d+) +<\.\.\. (?<name>\w+) resumed>(?<args>.*)\) += (?<result>-?\d+)/s

/** The calls in what `strace -f -y` wrote, in the order in which they returned; those that failed are left out. */
export function callsIn(lines: readonly string[]): readonly Call[] {
  const underWay = new Map<string, { readonly args: string; readonly began: number }>()
  const calls: Call[] = []
  lines.forEach((line, at) => {
    const begun = BEGUN.exec(line)?.groups
    if (begun !== undefined) {
      underWay.set(begun.thread ?? '', { args: begun.args ?? '', began: at })
      return
    }
    const resumed = RESUMED.exec(line)?.groups
    const { thread = '', name = '', args = '', result } = resumed ?? WHOLE.exec(line)?.groups ?? {}
    if (result === undefined || Number(result) < 0) return
    const start = resumed === undefined ? { args: '', began: at } : underWay.get(thread)
    if (start !== undefined) calls.push({ thread, name, args: start.args + args, began: start.began, returned: at })
  })
  return calls
}

/**
 * Runs a script under strace until it ends, and gives its calls that concern files, with `bytes` of what each writes. Needs
 * strace. What the script writes to its standard output is among them.
 */
export async function traceScript(
  script: string,
  args: readonly string[],
  out: string,
  bytes: number,
): Promise<readonly Call[]> {
  const options = ['-f', '-y', '-s', String(bytes), '-e', 'trace=pwrite64,write,fsync,fdatasync,ftruncate', '-o', out]
  const strace = spawn('strace', [...options, process.execPath, script, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(strace, 'exit')
  if (code !== 0) throw new Error(`${script} ended with ${String(code)}`)
  return callsIn(readFileSync(out, 'latin1').split('\n'))
}

export const isSync = ({ name }: Call): boolean => name === 'fsync' || name === 'fdatasync'

/** Whether it is of the file that bears this name. */
export const isOf = ({ args }: Call, file: string): boolean => args.slice(0, 300).includes(`/${file}>`)

/** What a call wrote to standard output; undefined for any other. */
export function printed({ name, args }: Call): string | undefined {
  return name === 'write' ? /^1<[^>]*>, "(?<text>.*)\\n", /.exec(args)?.groups?.text : undefined
}
