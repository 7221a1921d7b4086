import { readdir, readFile } from 'node:fs/promises'

/** In the environment of a handler process, and so of everything that it starts, however far away that moves. */
export const FAMILY_VARIABLE = 'HOLDFAST_HANDLER_PROCESS'

/** A fork may be between two looks. */
const PASSES = 2

/**
 * Ends a handler process and all that it has started. What has moved to a session of its own is found by its environment
 * (on Linux).
 */
export async function endFamily(pid: number, family: string): Promise<void> {
  signalGroup(pid)
  if (process.platform !== 'linux') return
  const mark = `${FAMILY_VARIABLE}=${family}\0`
  for (let pass = 0; pass < PASSES; pass++) {
    const members = await membersOf(mark)
    if (members.length === 0) return
    for (const member of members) signal(member)
  }
}

async function membersOf(mark: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => ((await environmentOf(pid)).includes(mark) ? [Number(pid)] : [])),
  )
  return found.flat()
}

async function environmentOf(pid: string): Promise<string> {
  try {
    return `${await readFile(`/proc/${pid}/environ`, 'latin1')}\0`
  } catch {
    // It has ended, or is somebody else's.
    return ''
  }
}

const signalGroup = (pid: number): void => signal(-pid)

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
