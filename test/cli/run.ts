import { PassThrough } from 'node:stream'
import { readConfig } from '../../src/app/config.ts'
import type { Environment } from '../../src/app/environment.ts'
import { runCli } from '../../src/cli/cli.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'

export interface CommandResult {
  readonly code: number
  readonly out: string
  readonly bytes: Buffer
  readonly err: string
}

/** Runs one command of `holdfast` as `main.ts` would, with this environment and standard input, on a terminal or not. */
export async function run(
  argv: readonly string[],
  environment: Environment = {},
  input = '',
  interactive = false,
): Promise<CommandResult> {
  const out = collect()
  const err = collect()
  const code = await runCli(argv, {
    out: out.stream,
    err: err.stream,
    in: new PassThrough().end(input),
    interactive,
    read: () => readConfig(environment),
    endSignal: () => new AbortController().signal,
    move: () => Promise.reject(new Error('nothing is moved here')),
    backUp: (request) => backUp(request, { signal: new AbortController().signal, onLog: () => {} }),
  })
  return { code, out: out.bytes().toString(), bytes: out.bytes(), err: err.bytes().toString() }
}

function collect() {
  const stream = new PassThrough()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return { stream, bytes: () => Buffer.concat(chunks) }
}
