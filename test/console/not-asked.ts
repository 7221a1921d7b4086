import type { ConsolePorts } from '../../src/http/console/ports.ts'

/** What the pages of sources and handlers ask, for tests of other pages. */
export const NOT_ASKED: Pick<ConsolePorts, 'sourceSetup' | 'sample' | 'workersWith'> = {
  sourceSetup: () => ({
    variable: 'SOURCE_AI',
    steps: [],
    registrations: 'no_api',
    makesSecret: false,
    types: [],
    sampleFault: undefined,
  }),
  sample: async () => 'none',
  workersWith: () => undefined,
}
