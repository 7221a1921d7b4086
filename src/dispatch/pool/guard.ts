import { type ChildProcess, spawn } from 'node:child_process'
import type { Logger } from 'pino'
import { messageOf } from '../../domain/errors.ts'
import { FAMILY_VARIABLE } from './family.ts'

/**
 * A shell that does nothing but wait for the service to end, however it does, and then ends what the service had running: a
 * handler that spins, or waits natively, does not notice by itself. The service writes a line to it
 * whenever the list of its processes changes;
 * what they have started is found by its environment.
 */
const SCRIPT = `
trap '' INT TERM HUP
while read -r line; do groups=$line; done
for pass in 1 2; do
  for group in $groups; do kill -9 -"$group"; done
  for file in $(grep -laF -- "$1" /proc/[0-9]*/environ); do pid=\${file#/proc/}; kill -9 "\${pid%/environ}"; done
done 2>/dev/null
`

/** Whatever the service is killed by, its handlers end with it. */
export class Guard {
  readonly #log: Logger
  readonly #shell: ChildProcess | undefined
  readonly #pids = new Set<number>()
  #isClosed = false

  /** `prefix`: with it begins the family of every process. */
  constructor(prefix: string, log: Logger) {
    this.#log = log
    this.#shell = this.#start(prefix)
  }

  #start(prefix: string): ChildProcess | undefined {
    try {
      const shell = spawn('/bin/sh', ['-c', SCRIPT, 'holdfast-guard', `${FAMILY_VARIABLE}=${prefix}`], {
        detached: true,
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
        stdio: ['pipe', 'ignore', 'ignore'],
      })
      shell.on('error', (error) => this.#isMissed(messageOf(error)))
      shell.on('exit', () => this.#isMissed('it ended'))
      shell.stdin?.on('error', () => {})
      // It is not what keeps the service going.
      shell.unref()
      return shell
    } catch (error) {
      this.#isMissed(messageOf(error))
      return undefined
    }
  }

  add(pid: number): void {
    if (pid === 0) return
    this.#pids.add(pid)
    this.#tell()
  }

  delete(pid: number): void {
    this.#pids.delete(pid)
    this.#tell()
  }

  close(): void {
    this.#isClosed = true
    this.#shell?.stdin?.end()
  }

  #tell(): void {
    this.#shell?.stdin?.write(`${[...this.#pids].join(' ')}\n`)
  }

  #isMissed(reason: string): void {
    if (!this.#isClosed)
      this.#log.warn(
        { error: reason },
        'no guard: should the service be killed, handlers that are blocked may outlive it',
      )
  }
}
