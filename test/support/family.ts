import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks per second and bytes of a page in /proc/<pid>/stat, as user space sees them on Linux. */
const TICKS_PER_SECOND = 100
const PAGE_BYTES = 4_096
const MIB = 1_048_576

/** A process of Linux. A pid is used again: pid and start together name a process for ever. */
export interface Process {
  readonly pid: number
  readonly parent: number
  readonly startedTicks: number
  readonly command: string
  /** User and system time of all its threads, those that have ended included. */
  readonly cpuSeconds: number
  /** The same of all descendants that have ended and were waited for. */
  readonly waitedForCpuSeconds: number
  readonly residentMiB: number
}

/** All processes that live now; one that has ended and only waits for its parent to hear of it does not. */
export function livingProcesses(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    const found = Number.isInteger(pid) ? readProcess(pid) : undefined
    return found === undefined ? [] : [found]
  })
}

function readProcess(pid: number): Process | undefined {
  const stat = textOf(`/proc/${pid}/stat`)
  const nameEnd = stat.lastIndexOf(')')
  // Counted from the one after the name, which may hold anything.
  const fields = stat.slice(nameEnd + 2).split(' ')
  const field = (at: number): number => Number(fields[at])
  if (nameEnd < 0 || fields[0] === 'Z' || fields[0] === 'X') return undefined
  return {
    pid,
    parent: field(1),
    startedTicks: field(19),
    command: stat.slice(stat.indexOf('(') + 1, nameEnd),
    cpuSeconds: (field(11) + field(12)) / TICKS_PER_SECOND,
    waitedForCpuSeconds: (field(13) + field(14)) / TICKS_PER_SECOND,
    residentMiB: (field(21) * PAGE_BYTES) / MIB,
  }
}

/** A process and all that descend from it, as long as every one between still lives. */
export function familyOf(pid: number): Process[] {
  const all = livingProcesses()
  const family = all.filter((each) => each.pid === pid)
  for (const member of family) family.push(...all.filter(({ parent }) => parent === member.pid))
  return family
}

/** CPU time of a process and of all its descendants, those that have ended included. */
export const cpuSecondsOfFamily = (pid: number): number =>
  familyOf(pid).reduce((sum, member) => sum + member.waitedForCpuSeconds + ownCpuSeconds(member), 0)

/**
 * By the clock of each thread, in nanoseconds: the process's own is cut to ticks, which is a lot of an idle one. But only
 * that one knows of threads that have ended.
 */
function ownCpuSeconds({ pid, cpuSeconds }: Process): number {
  const nanoseconds = namesIn(`/proc/${pid}/task`).map((thread) =>
    Number.parseInt(textOf(`/proc/${pid}/task/${thread}/schedstat`) || '0', 10),
  )
  return Math.max(cpuSeconds, nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9)
}

export interface Memory {
  /** What is shared counts for each process that has it. */
  readonly rssMiB: number
  /** What is shared counts once, in parts. */
  readonly pssMiB: number
}

/** Of a process and all its descendants. Exact, and slower than `residentMiB`: the kernel walks every page. */
export function memoryOfFamily(pid: number): Memory {
  const rollups = familyOf(pid).map((member) => textOf(`/proc/${member.pid}/smaps_rollup`))
  const sum = (name: string): number =>
    rollups.reduce((total, rollup) => total + Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0), 0)
  return { rssMiB: sum('Rss') / 1_024, pssMiB: sum('Pss') / 1_024 }
}

/** Processes that live and have a text in their command line or in the environment they were started with. */
export function processesWith(mark: string): Process[] {
  return livingProcesses().filter(
    ({ pid }) => textOf(`/proc/${pid}/environ`).includes(mark) || textOf(`/proc/${pid}/cmdline`).includes(mark),
  )
}

/** Those of them that live still. */
export function stillLiving(processes: Iterable<Process>): Process[] {
  return [...processes].filter(({ pid, startedTicks }) => readProcess(pid)?.startedTicks === startedTicks)
}

/** Nothing of a process that has just ended. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** The same. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
