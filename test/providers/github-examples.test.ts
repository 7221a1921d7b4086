import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { readEvent } from '../../src/domain/read-event.ts'
import github from '../../src/providers/github.ts'

interface Documented {
  readonly name: string
  readonly examples: readonly Readonly<Record<string, unknown>>[]
}

/** The payloads of GitHub's documentation. */
const documented: readonly Documented[] = createRequire(import.meta.url)('@octokit/webhooks-examples')

const payloads = documented.flatMap(({ name, examples }) => examples.map((payload) => ({ name, payload })))

describe('the payloads that GitHub documents', () => {
  test('are many, of many kinds', () => {
    expect(payloads.length).toBeGreaterThan(250)
    expect(documented.length).toBeGreaterThan(50)
  })

  test('read as their event, with its action where they name one', () => {
    for (const [index, { name, payload }] of payloads.entries()) {
      const headers = { 'x-github-event': name, 'x-github-delivery': `d-${index}` }
      const reading = readEvent(github, headers, Buffer.from(JSON.stringify(payload)), 0)
      const { action } = payload
      const type = typeof action === 'string' ? `${name}.${action}` : name
      expect(reading).toMatchObject({ ok: true, fields: { id: `d-${index}`, type, data: payload } })
    }
  })
})
