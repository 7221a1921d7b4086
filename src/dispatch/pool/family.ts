import { readdir, readFile } from 'node:fs/promises'

/** In the environment of a handler process, and so of everything that it starts, however far away that moves. */
export const FAMILY_VARIABLE = 'HOLDFAST_HANDLER_PROCESS'

/** A fork may be between two looks. */
const PASSES = 2

/** Ends what a handler process that has just ended had started and left in its session. Its number may be given to another soon. */
export function endGroup(pid: number): void {
  signal(-pid)
}

/** Ends what a handler process had started that has moved to a session of its own: it is found by its environment (on Linux). */
export async function endFamily(family: string): Promise<void> {
  if (process.platform !== 'linux') return
  const mark = `${FAMILY_VARIABLE}=${family}\0`
  for (let pass = 0; pass < PASSES; pass++) {
    const members = await membersOf(mark)
    if (members.length === 0) return
    for (const member of members) signal(member)
  }
}

async function membersOf(mark: string): Promise<readonly number[]> {
  const members: number[] = []
  // One after the other: it costs a busy machine time, and nothing waits for it.
  for (const pid of await pidsOf()) if ((await environmentOf(pid)).includes(mark)) members.push(Number(pid))
  return members
}

async function pidsOf(): Promise<readonly string[]> {
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
    // It has ended, or is somebody else's.
    return ''
  }
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
