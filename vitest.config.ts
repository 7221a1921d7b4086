import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/slow/**', 'test/bench/**'],
    typecheck: { enabled: false },
    globalSetup: ['test/support/postgres/global-setup.ts'],
    setupFiles: ['test/support/compile-cache.ts'],
    // Most of them wait for a process, a timer or a disk, not for a core.
    maxWorkers: 4,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
