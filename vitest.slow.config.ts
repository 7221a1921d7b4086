import { defineConfig } from 'vitest/config'

/** Crash, fault and load suites: minutes rather than seconds, one at a time so that their loads do not mix. */
export default defineConfig({
  test: {
    include: ['test/slow/**/*.test.ts', 'test/**/*.slow.test.ts'],
    fileParallelism: false,
    experimental: { viteModuleRunner: false, nodeLoader: false },
    globalSetup: ['test/support/postgres/global-setup.ts'],
    setupFiles: ['test/support/compile-cache.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    // A busy machine takes its time to start what is waited for.
    expect: { poll: { timeout: 20_000 } },
  },
})
