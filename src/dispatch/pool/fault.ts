const OUT_OF_MEMORY = /FATAL ERROR: .*(?:out of memory|Allocation failed|invalid (?:array|table) size)/i
const FATAL = /(?:FATAL ERROR|Fatal|# Fatal error).*/
const UNCAUGHT = /^\s*(?:Uncaught )?(\w*Error\b.*)$/m

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
