import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'

/** Cleans up after a process that could not: a test that was killed leaves no server and no files. */
export interface Guard {
  /** Which process is to be ended; undefined: none. */
  watch(pid: number | undefined): void
  /** Removes the directory, and ends. */
  release(): Promise<void>
}

const SCRIPT = `
  while read -r line; do pid=$line; done
  if [ -n "$pid" ]; then
    kill -QUIT "$pid"
    tries=0
    while [ "$tries" -lt 50 ] && kill -0 "$pid"; do sleep 0.1; tries=$((tries + 1)); done
  fi
  rm -rf "$1"
`

/** A shell, out of reach of Ctrl-C, that acts when its input ends: when it is released, or this process is gone. */
export function startGuard(directory: string): Guard {
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'sh', directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const exited = once(shell, 'exit')
  const input = shell.stdin as Socket
  input.on('error', () => {})
  input.unref()
  shell.unref()
  return {
    watch: (pid) => void input.write(`${pid ?? ''}\n`),
    async release() {
      shell.ref()
      input.end('\n')
      await exited
    },
  }
}
