/** Tells whether an event type matches. `*` stands for any run of characters, dots included. */
export type TypeMatcher = (type: string) => boolean

/** Compiles event-type patterns such as `completion.finished`, `completion.*`, `*`. Matching is linear in the type's length. */
export function compilePatterns(patterns: readonly string[]): TypeMatcher {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')))
  const globs = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split(/\*+/))
  return (type) => exact.has(type) || globs.some((parts) => matchesGlob(type, parts))
}

function matchesGlob(type: string, parts: readonly string[]): boolean {
  const head = parts[0] ?? ''
  const tail = parts.at(-1) ?? ''
  if (type.length < head.length + tail.length || !type.startsWith(head) || !type.endsWith(tail)) return false
  let from = head.length
  const end = type.length - tail.length
  for (const part of parts.slice(1, -1)) {
    const at = type.indexOf(part, from)
    if (at < 0 || at + part.length > end) return false
    from = at + part.length
  }
  return true
}
