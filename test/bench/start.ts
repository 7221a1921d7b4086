import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/**
 * How long commands take from their start to their end, with this Node: `npm run bench:start [path of bin/holdfast.js]`. Nothing listens
 * at their address, so that no service counts.
 */

const RUNS = 20
const bin = process.argv[2] ?? join(import.meta.dirname, '../../bin/holdfast.js')
const COMMANDS = [['--version'], ['help'], ['events', 'list'], ['dead', 'list'], ['status']]
const env = { ...process.env, OPS_PORT: '9' }

function elapsedMs(args: readonly string[]): number {
  const startedMs = performance.now()
  spawnSync(process.execPath, args, { env, stdio: 'ignore' })
  return performance.now() - startedMs
}

function report(name: string, args: readonly string[]): void {
  // The first run fills the compile cache.
  elapsedMs(args)
  const times = Array.from({ length: RUNS }, () => elapsedMs(args)).toSorted((one, other) => one - other)
  const at = (part: number): string => `${Math.round(times[Math.floor(part * (RUNS - 1))] ?? 0)} ms`.padStart(7)
  process.stdout.write(`${name.padEnd(24)} fastest ${at(0)}  median ${at(0.5)}  slowest ${at(1)}\n`)
}

report('node alone', ['-e', '0'])
for (const command of COMMANDS) report(`holdfast ${command.join(' ')}`, [bin, ...command])
