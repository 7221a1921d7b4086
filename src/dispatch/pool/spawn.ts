import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { openProgress, Progress } from '../progress.ts'
import { FAMILY_VARIABLE } from './family.ts'
import { stepBack } from './vitals.ts'

const MAIN = fileURLToPath(new URL('../process/main.ts', import.meta.url))

/** The part of a process's memory that JavaScript's heap may take: the rest is for buffers, code and stacks. */
const HEAP_PART = 0.75
const MIN_HEAP_MB = 16
/** Half of the space for what is new; V8's own choice of 16 would be filled to the brim in every process. */
const MAX_SEMI_SPACE_MB = 2

export interface SpawnedProcess {
  /** Tells of its end by `exit`, or by `error` if it could not be started. */
  readonly child: EventEmitter & { readonly pid?: number | undefined; kill(signal: NodeJS.Signals): boolean }
  readonly jobs: Writable
  readonly answers: Readable
  /** What is written past `console`: by native code, and by programs that a handler starts. */
  readonly outputs: readonly [stdout: Readable, stderr: Readable]
  readonly progress: Progress
}

export interface SpawnOptions {
  /** Tells what belongs to this process, and all that it starts. */
  readonly family: string
  readonly memoryMb: number
  readonly environment: NodeJS.ProcessEnv
  /** It loads at the priority of acknowledgements, and steps back after. */
  readonly isHurried: boolean
}

/**
 * Starts a handler process, in a session of its own: what a terminal or a supervisor signals reaches the service, which ends
 * its handlers in order.
 */
export function spawnProcess(options: SpawnOptions): SpawnedProcess {
  const progressFd = openProgress()
  const progress = new Progress(progressFd)
  try {
    const child = start(options, progressFd)
    if (!options.isHurried && child.pid !== undefined) stepBack(child.pid)
    const [, stdout, stderr, jobs, answers] = child.stdio ?? []
    if (stdout && stderr && jobs && answers) {
      return {
        child,
        jobs: jobs as Writable,
        answers: answers as Readable,
        outputs: [stdout, stderr],
        progress,
      }
    }
    // Without descriptors to spare it has no streams, and an error is on its way.
    return notStarted(child, progress)
  } catch (error) {
    const child = Object.assign(new EventEmitter(), { kill: () => false })
    process.nextTick(() => child.emit('error', error))
    return notStarted(child, progress)
  }
}

function start({ family, memoryMb, environment }: SpawnOptions, progressFd: number | null): ChildProcess {
  const cache = getCompileCacheDir()
  return spawn(process.execPath, [...flags(memoryMb), MAIN], {
    detached: true,
    env: { ...environment, ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }), [FAMILY_VARIABLE]: family },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 1, progressFd ?? 'ignore'],
  })
}

/** Nothing comes of it but its `error`. */
function notStarted(child: SpawnedProcess['child'], progress: Progress): SpawnedProcess {
  const ended = (): Readable => Readable.from([])
  return { child, progress, jobs: new Writable().destroy(), answers: ended(), outputs: [ended(), ended()] }
}

const flags = (memoryMb: number): readonly string[] => [
  `--max-old-space-size=${Math.max(MIN_HEAP_MB, Math.floor(memoryMb * HEAP_PART))}`,
  `--max-semi-space-size=${MAX_SEMI_SPACE_MB}`,
  '--v8-pool-size=1',
]
