const OUT_OF_MEMORY = /FATAL ERROR: .*(?:out of memory|Allocation failed|invalid (?:array|table) size)/i
const FATAL = /(?:FATAL ERROR|Fatal|# Fatal error).*/
const UNCAUGHT = /^[^\S\n]*(?:Uncaught )?(\w*Error\b.*)$/m

/** V8 prints the JavaScript stack of a process that aborts, and Node that of an error which nothing caught. */
const FRAME = /^[^\S\n]*(?:\d+: |at )(?<frame>.*:\d+:\d+\)?)$/gm
const NOT_THEIRS = /node:|\/dispatch\/process\//
const MAX_FRAMES = 16

/** The frames of the handler's own code among the last words, innermost first. */
export const framesIn = (lastWords: string): readonly string[] =>
  [...lastWords.matchAll(FRAME)]
    .map(({ groups }) => `at ${groups?.frame?.replace('file://', '')}`)
    .filter((frame) => !NOT_THEIRS.test(frame))
    .slice(0, MAX_FRAMES)

/** What a handler process ended of, in words, by how the system says that it ended and by its last words. */
export function faultOf(code: number | null, signal: NodeJS.Signals | null, lastWords: string): string {
  const [memory] = OUT_OF_MEMORY.exec(lastWords) ?? []
  if (memory !== undefined) return `the handler process ran out of memory: ${memory.replace('FATAL ERROR: ', '')}`
  const [fatal] = FATAL.exec(lastWords) ?? []
  if (signal !== null) {
    const why = signal === 'SIGKILL' ? ', by the system where memory is short' : fatal === undefined ? '' : `: ${fatal}`
    return `the handler process was killed by ${signal}${why}`
  }
  const [, uncaught] = UNCAUGHT.exec(lastWords) ?? []
  return `the handler process exited with code ${code}${uncaught === undefined ? '' : `: ${uncaught}`}`
}
