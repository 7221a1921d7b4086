import { readdirSync, readFileSync } from 'node:fs'
import { freemem, platform, setPriority, totalmem } from 'node:os'
import { availableMemory, constrainedMemory } from 'node:process'
import { HANDLER_NICENESS } from '../protocol.ts'

const KIB_PER_MB = 1_024
const NANOSECONDS_PER_MS = 1e6
const LOWEST_PRIORITY = 19

/** Megabytes of memory that a process holds; undefined where the system does not tell (Linux does). */
export function residentMb(pid: number): number | undefined {
  const kib = /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1]
  return kib === undefined ? undefined : Number(kib) / KIB_PER_MB
}

/** Bytes of memory that could be had. What a container's files take up can be taken back, though it counts as used. */
export function availableBytes(): number {
  const limit = constrainedMemory()
  if (limit === 0 || limit >= totalmem()) return availableMemory()
  const path = /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? ''
  const inactive = /^inactive_file (\d+)$/m.exec(read(`/sys/fs/cgroup${path}/memory.stat`) ?? '')?.[1] ?? 0
  return Math.min(freemem(), availableMemory() + Number(inactive))
}

/** How long the process's main thread has waited for a processor, in all: where others take it, that is not its own doing. */
export function waitedForCpuMs(pid: number): number {
  const nanoseconds = Number(read(`/proc/${pid}/schedstat`)?.split(' ')[1])
  return Number.isFinite(nanoseconds) ? nanoseconds / NANOSECONDS_PER_MS : 0
}

/** Has a process that has just been started begin at the priority of handlers, not at that of acknowledgements. */
export function stepBack(pid: number): void {
  try {
    if (platform() === 'linux') setPriority(pid, HANDLER_NICENESS)
  } catch {
    // It has ended, or the system does not allow it.
  }
}

/** Puts a process that is blocked behind all others. */
export function yieldCpu(pid: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), LOWEST_PRIORITY)
  } catch {
    // It has ended, or this is no Linux.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
