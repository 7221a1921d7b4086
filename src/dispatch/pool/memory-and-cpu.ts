import { readdirSync, readFileSync } from 'node:fs'
import { freemem, platform, setPriority, totalmem } from 'node:os'
import { availableMemory, constrainedMemory } from 'node:process'
import { HANDLER_NICENESS } from '../ipc/messages.ts'

/** What the operating system tells of a process's memory and processor time, and the priority that the service gives it. */

const KIB_PER_MB = 1_024
const NANOSECONDS_PER_MS = 1e6
const LOWEST_PRIORITY = 19

/** Resident memory of a process in megabytes; undefined where the system does not tell (Linux does). */
export function residentMb(pid: number): number | undefined {
  const kib = /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1]
  return kib === undefined ? undefined : Number(kib) / KIB_PER_MB
}

/** Memory that another process could use. A container counts its file cache as used, but can take it back: it is added. */
export function availableBytes(): number {
  const limit = constrainedMemory()
  if (limit === 0 || limit >= totalmem()) return availableMemory()
  const path = /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? ''
  const inactive = /^inactive_file (\d+)$/m.exec(read(`/sys/fs/cgroup${path}/memory.stat`) ?? '')?.[1] ?? 0
  return Math.min(freemem(), availableMemory() + Number(inactive))
}

/** How long the process's main thread has waited for a processor in all. While others use it, the process cannot answer. */
export function waitedForCpuMs(pid: number): number {
  const nanoseconds = Number(read(`/proc/${pid}/schedstat`)?.split(' ')[1])
  return Number.isFinite(nanoseconds) ? nanoseconds / NANOSECONDS_PER_MS : 0
}

/** Gives a process that has just been spawned the priority of handlers, below that of acknowledgements. */
export function setHandlerPriority(pid: number): void {
  try {
    if (platform() === 'linux') setPriority(pid, HANDLER_NICENESS)
  } catch {
    // The process has ended, or the system does not allow it.
  }
}

/** Gives all threads of a blocked process the lowest priority. Without privileges that cannot be undone. */
export function setLowestPriority(pid: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), LOWEST_PRIORITY)
  } catch {
    // The process has ended, or this is not Linux.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
