import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { shippedProviders } from '../../src/providers/index.ts'
import { loadProviders } from '../../src/providers/load-providers.ts'

const acme = `{ name: 'acme', verify: { scheme: 'shared-secret', from: { header: 'x-token' } }, event: { type: 'body:type' } }`

function directoryWith(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-providers-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return directory
}

describe('a directory of provider modules', () => {
  test('may hold other files', async () => {
    const directory = directoryWith({
      'acme.mjs': `export default ${acme}`,
      'acme.d.ts': 'declare const nothing: never; export default nothing',
      'README.md': '# Providers',
      'data.json': '{}',
    })
    const { providers, faults } = await loadProviders(directory)
    expect(faults).toEqual([])
    expect(providers.get('acme')?.module).toMatch(/^file:.*\/acme\.mjs$/)
    expect(providers.size).toBe(shippedProviders.length + 1)
  })

  test('that does not exist is a fault, and the shipped modules are loaded nevertheless', async () => {
    const { providers, faults } = await loadProviders('/nowhere/at/all')
    expect(faults).toEqual([expect.stringMatching(/^PROVIDERS_DIR \/nowhere\/at\/all cannot be read: /)])
    expect(providers.size).toBe(shippedProviders.length)
  })

  test('has a fault for a file without default export, and for two files that share a name', async () => {
    const directory = directoryWith({
      'a.mjs': `export const acme = ${acme}`,
      'b.mjs': `export default ${acme}`,
      'c.mjs': `export default ${acme}`,
    })
    const { providers, faults } = await loadProviders(directory)
    expect(faults).toEqual([
      `provider module ${join(directory, 'a.mjs')}: it has no default export`,
      expect.stringMatching(/^provider module .*c\.mjs: the name acme is taken by .*b\.mjs$/),
    ])
    expect(providers.get('acme')?.module).toMatch(/b\.mjs$/)
  })
})
