import { expect, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import type { Environment } from '../../src/app/environment.ts'
import { buildSources } from '../../src/app/sources.ts'
import { loadProviders } from '../../src/providers/load-providers.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const OTHER = Buffer.alloc(32, 8).toString('base64')

async function warningsOf(environment: Environment): Promise<readonly string[]> {
  const { config } = readConfig({
    SOURCES: 'one,two',
    SOURCE_ONE_PROVIDER: 'ai',
    SOURCE_TWO_PROVIDER: 'ai',
    ...environment,
  })
  const { faults, warnings } = await buildSources(config, (await loadProviders(undefined)).providers)
  expect(faults).toEqual([])
  return warnings
}

const TWO_SOURCES =
  'SOURCE_TWO_SECRET holds a secret of SOURCE_ONE_SECRET: what is signed for one source is authentic at the other'

test.each([
  ['each their own', { SOURCE_ONE_SECRET: `whsec_${KEY}`, SOURCE_TWO_SECRET: `whsec_${OTHER}` }, []],
  ['the same', { SOURCE_ONE_SECRET: `whsec_${KEY}`, SOURCE_TWO_SECRET: `whsec_${KEY}` }, [TWO_SOURCES]],
  ['the same key, written in two ways', { SOURCE_ONE_SECRET: `whsec_${KEY}`, SOURCE_TWO_SECRET: KEY }, [TWO_SOURCES]],
  [
    'the same among others',
    { SOURCE_ONE_SECRET: `whsec_${OTHER},whsec_${KEY}`, SOURCE_TWO_SECRET: `whsec_${KEY}` },
    [TWO_SOURCES],
  ],
  [
    'one of them the same twice',
    { SOURCE_ONE_SECRET: `whsec_${KEY},${KEY}`, SOURCE_TWO_SECRET: `whsec_${OTHER}` },
    ['SOURCE_ONE_SECRET holds the same secret twice'],
  ],
  [
    'one of them the token of the operators',
    { SOURCE_ONE_SECRET: KEY, SOURCE_TWO_SECRET: OTHER, OPS_TOKEN: OTHER },
    ['SOURCE_TWO_SECRET holds OPS_TOKEN: every sender that can sign for the source can also operate the service'],
  ],
  [
    'the same with providers that sign differently',
    { SOURCE_ONE_SECRET: `whsec_${KEY}`, SOURCE_TWO_SECRET: `whsec_${KEY}`, SOURCE_TWO_PROVIDER: 'svix' },
    [TWO_SOURCES],
  ],
] as const)(
  'the warnings name each secret that is used twice, where the secrets of two sources are %s',
  async (_what, environment, warnings) => {
    const told = await warningsOf(environment)
    expect(told).toEqual(warnings)
    expect(told.join()).not.toContain(KEY)
  },
)
