import type { ActName } from './acts/acts.ts'

export interface Poison {
  readonly name: ActName
  /** `either`: it depends on how fast the machine is, or on what the runtime makes of it. */
  readonly ends: 'dead' | 'succeeded' | 'either'
  /** What its attempts' error says, and a warning in the log. */
  readonly reads?: RegExp
  /** The same for many at once, where that may differ. */
  readonly crowdReads?: RegExp
  /** What some line of the log says, whatever became of it. */
  readonly logs?: RegExp
  /** It writes to the log's own descriptor, which is any handler's to find: that is no line of the log. */
  readonly writesToLog?: boolean
  /** It changes what everything in its process relies on, and lives on: what shares it may fail, and runs again elsewhere. */
  readonly meddles?: boolean
}

const DEADLINE = /deadline/
const MEMORY = /memory|grew past|RangeError/
/**
 * The deadline may pass first: near the bound the collector works ever harder, and many that grow at once share the
 * processors, so that none of them may get there in time.
 */
const MEMORY_OR_DEADLINE = /memory|grew past|RangeError|deadline/

/** All of them, with what is to become of each. */
export const poisons: readonly Poison[] = [
  { name: 'spin', ends: 'dead', reads: DEADLINE },
  { name: 'microtask-storm', ends: 'dead', reads: DEADLINE },
  { name: 'regular-expression', ends: 'dead', reads: DEADLINE },
  { name: 'atomics-wait', ends: 'dead', reads: DEADLINE },
  { name: 'exec-sleep', ends: 'dead', reads: DEADLINE },
  { name: 'pbkdf2', ends: 'dead', reads: DEADLINE },
  { name: 'never-settles', ends: 'dead', reads: DEADLINE },
  { name: 'exit', ends: 'dead', reads: /exited with code 3/ },
  { name: 'abort', ends: 'dead', reads: /SIGABRT/ },
  { name: 'segmentation-fault', ends: 'dead', reads: /SIGSEGV/ },
  { name: 'memory-set', ends: 'dead', reads: MEMORY_OR_DEADLINE },
  { name: 'memory-map', ends: 'dead', reads: MEMORY_OR_DEADLINE },
  { name: 'memory-spread', ends: 'dead', reads: MEMORY_OR_DEADLINE },
  { name: 'memory-sparse-array', ends: 'dead', reads: MEMORY_OR_DEADLINE },
  { name: 'memory-closures', ends: 'dead', reads: MEMORY_OR_DEADLINE },
  { name: 'memory-strings', ends: 'dead', reads: MEMORY, crowdReads: MEMORY_OR_DEADLINE },
  { name: 'memory-buffers', ends: 'dead', reads: MEMORY, crowdReads: MEMORY_OR_DEADLINE },
  { name: 'memory-native', ends: 'dead', reads: MEMORY, crowdReads: MEMORY_OR_DEADLINE },
  { name: 'memory-wasm', ends: 'dead', reads: MEMORY, crowdReads: MEMORY_OR_DEADLINE },
  { name: 'console-flood', ends: 'either', logs: /dropped/ },
  { name: 'log-flood', ends: 'either', logs: /dropped/ },
  { name: 'raw-flood', ends: 'either' },
  { name: 'closed-stdout', ends: 'either' },
  { name: 'garbage-to-descriptors', ends: 'either', writesToLog: true },
  { name: 'send-misuse', ends: 'either' },
  { name: 'disconnect', ends: 'either' },
  { name: 'background-process', ends: 'succeeded' },
  { name: 'detached-process', ends: 'succeeded' },
  { name: 'prototypes-changed', ends: 'either', meddles: true },
  { name: 'globals-changed', ends: 'either', meddles: true },
  { name: 'process-changed', ends: 'either', meddles: true },
]
