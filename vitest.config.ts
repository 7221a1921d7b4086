import { defineConfig } from 'vitest/config'

const SLOW = ['test/slow/**', 'test/**/*.slow.test.ts']
const UNIT = 'test/**/*.unit.test.ts'
/** Workers make much that is garbage at once, and have no core to themselves for collecting it. */
const COLLECTING = ['--min-semi-space-size=32', '--max-semi-space-size=32', '--single-threaded-gc']

/**
 * Two projects. A unit test starts no process and no thread, and opens no connection: Node's permissions refuse it. An
 * integration test may do all of that. What takes minutes is in vitest.slow.config.ts.
 */
export default defineConfig({
  test: {
    // Node loads the TypeScript by itself, and each module once in a worker: files share it, and start no worker of their own.
    isolate: false,
    experimental: { viteModuleRunner: false, nodeLoader: false },
    setupFiles: ['test/support/compile-cache.ts', 'test/support/compile-once.ts'],
    // Most of them wait for a process, a timer or a disk, not for a core.
    maxWorkers: 5,
    execArgv: COLLECTING,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A busy machine takes its time to start what is waited for.
    expect: { poll: { timeout: 20_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [UNIT],
          exclude: SLOW,
          execArgv: [...COLLECTING, '--permission', '--allow-fs-read=*', '--allow-fs-write=*'],
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: [UNIT, ...SLOW],
          globalSetup: ['test/support/postgres/global-setup.ts'],
        },
      },
    ],
  },
})
