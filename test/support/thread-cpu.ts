/** How much of a processor this thread has used, in milliseconds. Unlike a clock, it does not go on while others have the processor. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
