import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { readEvent } from '../../src/pipeline/read-event.ts'
import { githubMismatch } from '../../src/providers/github/events.ts'
import github from '../../src/providers/github/provider.ts'

interface Documented {
  readonly name: string
  readonly examples: readonly Readonly<Record<string, unknown>>[]
}

/** The payloads of GitHub's documentation. */
const documented: readonly Documented[] = createRequire(import.meta.url)('@octokit/webhooks-examples')

const payloads = documented.flatMap(({ name, examples }) => examples.map((payload) => ({ name, payload })))

describe('the payloads that GitHub documents', () => {
  test('are many, of many events', () => {
    expect(payloads.length).toBeGreaterThan(250)
    expect(documented.length).toBeGreaterThan(50)
  })

  test('match their own event, and mostly no other', () => {
    const names = documented.map(({ name }) => name)
    let told = 0
    let pairs = 0
    for (const { name, payload } of payloads) {
      expect(githubMismatch(name, payload), name).toBeUndefined()
      for (const other of names) {
        if (other === name) continue
        pairs++
        if (githubMismatch(other, payload) !== undefined) told++
      }
    }
    expect(told / pairs).toBeGreaterThan(0.98)
  })

  test('cannot be told apart if their keys are the same', () => {
    const example = (name: string) => payloads.find((each) => each.name === name)?.payload
    expect(githubMismatch('code_scanning_alert', example('dependabot_alert'))).toBeUndefined()
    expect(githubMismatch('watch', example('public'))).toBeUndefined()
  })

  test('of an event that is not in the table are not checked', () => {
    for (const { payload } of payloads) expect(githubMismatch('of_tomorrow', payload)).toBeUndefined()
  })

  test.each([
    ['push', 'issues', 'it is sent as push, but its body has no ref, as every push has'],
    ['issues', 'issue_comment', 'it is sent as issues, but its body has comment, which no issues has'],
    ['delete', 'create', 'it is sent as delete, but its body has master_branch, which no delete has'],
    ['watch', 'star', 'it is sent as watch, but its body has starred_at, which no watch has'],
  ])('are not taken for %s when they are of %s', (name, of, reason) => {
    const { payload } = payloads.find((each) => each.name === of) ?? {}
    expect(githubMismatch(name, payload)).toBe(reason)
    const reading = readEvent(github, { 'x-github-event': name }, Buffer.from(JSON.stringify(payload)), 0)
    expect(reading).toMatchObject({ ok: false, reasons: [reason] })
  })

  test('are read as their event, with its action if they name one', () => {
    for (const [index, { name, payload }] of payloads.entries()) {
      const headers = { 'x-github-event': name, 'x-github-delivery': `d-${index}` }
      const reading = readEvent(github, headers, Buffer.from(JSON.stringify(payload)), 0)
      const { action } = payload
      const type = typeof action === 'string' ? `${name}.${action}` : name
      expect(reading).toMatchObject({ ok: true, fields: { id: `d-${index}`, type, data: payload } })
    }
  })
})
