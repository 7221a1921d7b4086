import { readdirSync, readFileSync } from 'node:fs'
import { freemem, platform, setPriority, totalmem } from 'node:os'
import { availableMemory, constrainedMemory } from 'node:process'
import { HANDLER_NICENESS } from '../ipc/messages.ts'

/** Reads a process's memory and processor time from the operating system, and sets the priority of processes. */

const KIB_PER_MB = 1_024
const NANOSECONDS_PER_MS = 1e6
const LOWEST_PRIORITY = 19

/** Resident memory of a process in megabytes; undefined except on Linux, where `/proc` has it. */
export function residentMb(pid: number): number | undefined {
  const kib = /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1]
  return kib === undefined ? undefined : Number(kib) / KIB_PER_MB
}

/**
 * Memory that another process could use (bytes). In a container the file cache counts as used, although the system can reclaim
 * it; so the inactive part of the cache is added.
 */
export function availableBytes(): number {
  const limit = constrainedMemory()
  if (limit === 0 || limit >= totalmem()) return availableMemory()
  const path = /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? ''
  const inactive = /^inactive_file (\d+)$/m.exec(read(`/sys/fs/cgroup${path}/memory.stat`) ?? '')?.[1] ?? 0
  return Math.min(freemem(), availableMemory() + Number(inactive))
}

/** How long the main thread of the process has waited for a processor in total. While it waits, the process cannot answer. */
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
