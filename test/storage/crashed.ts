import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url))
export const ACKNOWLEDGED_BEFORE_THE_KILL = 500

/** Lets a process append to the database, kills it in the middle, and gives what it had acknowledged. */
export async function appendUntilKilled(path: string): Promise<readonly string[]> {
  const child = spawn(process.execPath, [CHILD, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines: string[] = []
  for await (const line of createInterface(child.stdout)) {
    lines.push(line)
    if (lines.length === ACKNOWLEDGED_BEFORE_THE_KILL) child.kill('SIGKILL')
  }
  await exited
  return lines.filter((line) => line !== 'claimed')
}
