import { familyOf, type Process, processesWith, stillLiving } from './family.ts'

const SAMPLE_MS = 50

export interface FamilyWatch {
  /** The most that all of them held together at one look, what is shared counted for each; and how many they were then. */
  readonly peak: { readonly residentMiB: number; readonly processes: number }
  /** All that were ever seen to descend from it and live still, and all that bear its mark, even if they have another parent now. */
  survivors(): Process[]
  stop(): void
}

/** Looks at a process and all that descend from it, many times a second. `mark`: a text in the environment they inherit. */
export function watchFamily(pid: number, mark: string): FamilyWatch {
  const seen = new Map<string, Process>()
  const peak = { residentMiB: 0, processes: 0 }
  const look = (): void => {
    const family = familyOf(pid)
    for (const member of family) seen.set(`${member.pid} ${member.startedTicks}`, member)
    const residentMiB = family.reduce((sum, member) => sum + member.residentMiB, 0)
    if (residentMiB > peak.residentMiB) Object.assign(peak, { residentMiB, processes: family.length })
  }
  look()
  const timer = setInterval(look, SAMPLE_MS)
  return {
    peak,
    survivors() {
      const known = stillLiving(seen.values())
      const marked = processesWith(mark).filter((each) => !known.some((other) => other.pid === each.pid))
      return [...known, ...marked]
    },
    stop: () => clearInterval(timer),
  }
}

/** Ends processes for good, each only if it is still the one that was meant. */
export function killAll(processes: readonly Process[]): void {
  for (const { pid } of stillLiving(processes)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It was quicker.
    }
  }
}
