import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { createProgressFile, JobProgress } from '../ipc/job-progress.ts'
import { setHandlerPriority } from './memory-and-cpu.ts'
import { TREE_VARIABLE } from './process-tree.ts'

const MAIN = fileURLToPath(new URL('../process/main.ts', import.meta.url))

/** The part of a process's memory limit that the JavaScript heap may take. The rest is for buffers, code and stacks. */
const HEAP_PART = 0.75
const MIN_HEAP_MB = 16
/** Half of V8's space for new objects. V8's default of 16 MB would fill up in every process. */
const MAX_SEMI_SPACE_MB = 2

export interface SpawnedProcess {
  /** Emits `exit` when it has ended, or `error` if it could not be started. */
  readonly child: EventEmitter & { readonly pid?: number | undefined; kill(signal: NodeJS.Signals): boolean }
  readonly jobs: Writable
  readonly answers: Readable
  /**
   * Output of native code, and of programs that a handler starts, to stdout and stderr. Output of `console` goes to the log.
   */
  readonly outputs: readonly [stdout: Readable, stderr: Readable]
  readonly progress: JobProgress
}

interface SpawnOptions {
  /** The id of the process tree: all programs that the process starts inherit it. */
  readonly treeId: string
  readonly memoryMb: number
  readonly environment: NodeJS.ProcessEnv
  /** The process loads at the priority of acknowledgements, and lowers its priority afterwards. */
  readonly isUrgent: boolean
}

/**
 * Starts a handler process, in a session of its own: a signal from a terminal or a supervisor reaches only the service, which
 * then ends its handlers in order. Never throws.
 */
export function spawnProcess(options: SpawnOptions): SpawnedProcess {
  const progressFd = createProgressFile()
  const progress = new JobProgress(progressFd)
  try {
    const child = start(options, progressFd)
    if (!options.isUrgent && child.pid !== undefined) setHandlerPriority(child.pid)
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
    // The system has no file descriptors left: there are no streams, and `child` emits `error`.
    return notStarted(child, progress)
  } catch (error) {
    const child = Object.assign(new EventEmitter(), { kill: () => false })
    process.nextTick(() => child.emit('error', error))
    return notStarted(child, progress)
  }
}

function start({ treeId, memoryMb, environment }: SpawnOptions, progressFd: number | null): ChildProcess {
  const cache = getCompileCacheDir()
  return spawn(process.execPath, [...flags(memoryMb), MAIN], {
    detached: true,
    env: { ...environment, ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }), [TREE_VARIABLE]: treeId },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 1, progressFd ?? 'ignore'],
  })
}

/** A process that only emits `error`. */
function notStarted(child: SpawnedProcess['child'], progress: JobProgress): SpawnedProcess {
  const ended = (): Readable => Readable.from([])
  return { child, progress, jobs: new Writable().destroy(), answers: ended(), outputs: [ended(), ended()] }
}

const flags = (memoryMb: number): readonly string[] => [
  `--max-old-space-size=${Math.max(MIN_HEAP_MB, Math.floor(memoryMb * HEAP_PART))}`,
  `--max-semi-space-size=${MAX_SEMI_SPACE_MB}`,
  '--v8-pool-size=1',
]
