/** Runs something again and again; `refresh` has it wait anew for as long as it is to wait now. */
export function repeated(run: () => void, intervalMs: () => number): { refresh(): void; stop(): void } {
  const start = (): NodeJS.Timeout =>
    setTimeout(() => {
      timer = start()
      run()
    }, intervalMs())
  let timer = start()
  let isStopped = false
  return {
    refresh: () => {
      clearTimeout(timer)
      if (!isStopped) timer = start()
    },
    stop: () => {
      clearTimeout(timer)
      isStopped = true
    },
  }
}
