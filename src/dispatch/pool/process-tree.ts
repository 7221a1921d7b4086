import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { Logger } from 'pino'
import { messageOf } from '../../domain/errors.ts'

/**
 * The environment variable of a handler process that holds the id of its process tree. All programs that the process starts
 * inherit it, even those that move to a session of their own.
 */
export const TREE_VARIABLE = 'HOLDFAST_HANDLER_PROCESS'

/** A program may fork between two passes over `/proc`. */
const PASSES = 2

/**
 * Kills the programs that an ended handler process has left in its process group. Must be called at once: the system may soon
 * give the pid to another process.
 */
export function killGroup(pid: number): void {
  kill(-pid)
}

/** Kills the programs that a handler process had started and that have left its process group, by their environment (on Linux). */
export async function killTree(treeId: string): Promise<void> {
  if (process.platform !== 'linux') return
  const mark = `${TREE_VARIABLE}=${treeId}\0`
  for (let pass = 0; pass < PASSES; pass++) {
    const members = await membersOf(mark)
    if (members.length === 0) return
    for (const member of members) kill(member)
  }
}

async function membersOf(mark: string): Promise<readonly number[]> {
  const members: number[] = []
  // One after the other, to spare a busy machine: no attempt waits for this.
  for (const pid of await allPids()) if ((await environmentOf(pid)).includes(mark)) members.push(Number(pid))
  return members
}

async function allPids(): Promise<readonly string[]> {
  try {
    return (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}

async function environmentOf(pid: string): Promise<string> {
  try {
    return `${await readFile(`/proc/${pid}/environ`, 'latin1')}\0`
  } catch {
    // The process has ended, or belongs to another user.
    return ''
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has ended.
  }
}

/**
 * A shell script that waits until the service ends, in whatever way, and then kills the handler processes and the programs that
 * they have started: a handler that spins or waits in native code does not notice the end of the service. The service writes
 * the process groups to the standard input of the shell, one line for each change. That input ends with the service.
 */
const SCRIPT = `
trap '' INT TERM HUP
while read -r line; do groups=$line; done
for pass in 1 2; do
  for group in $groups; do kill -9 -"$group"; done
  for file in $(grep -laF -- "$1" /proc/[0-9]*/environ); do pid=\${file#/proc/}; kill -9 "\${pid%/environ}"; done
done 2>/dev/null
`

/** Kills all handler processes when the service ends, even when the service itself is killed. */
export class OrphanReaper {
  readonly #log: Logger
  readonly #shell: ChildProcess | undefined
  readonly #pids = new Set<number>()
  #isClosed = false

  /** `treePrefix`: the ids of all process trees of this service begin with it. */
  constructor(treePrefix: string, log: Logger) {
    this.#log = log
    this.#shell = this.#start(treePrefix)
  }

  #start(treePrefix: string): ChildProcess | undefined {
    try {
      const shell = spawn('/bin/sh', ['-c', SCRIPT, 'holdfast-guard', `${TREE_VARIABLE}=${treePrefix}`], {
        detached: true,
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
        stdio: ['pipe', 'ignore', 'ignore'],
      })
      shell.on('error', (error) => this.#warnMissing(messageOf(error)))
      shell.on('exit', () => this.#warnMissing('it ended'))
      shell.stdin?.on('error', () => {})
      // The shell alone does not keep the service running.
      shell.unref()
      return shell
    } catch (error) {
      this.#warnMissing(messageOf(error))
      return undefined
    }
  }

  add(pid: number): void {
    if (pid === 0) return
    this.#pids.add(pid)
    this.#writePids()
  }

  delete(pid: number): void {
    this.#pids.delete(pid)
    this.#writePids()
  }

  close(): void {
    this.#isClosed = true
    this.#shell?.stdin?.end()
  }

  #writePids(): void {
    this.#shell?.stdin?.write(`${[...this.#pids].join(' ')}\n`)
  }

  #warnMissing(reason: string): void {
    if (!this.#isClosed)
      this.#log.warn(
        { error: reason },
        'no process guards the handler processes: if the service is killed, blocked handlers may outlive it',
      )
  }
}
