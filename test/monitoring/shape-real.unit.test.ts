import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { outlineOf } from '../../src/monitoring/outline.ts'
import { Shape } from '../../src/monitoring/shape.ts'
import { type Random, seededRandom } from '../support/random.ts'

interface Documented {
  readonly name: string
  readonly examples: readonly Readonly<Record<string, unknown>>[]
}

/** The payloads of GitHub's documentation: of each event, one for each action and more. */
const documented: readonly Documented[] = createRequire(import.meta.url)('@octokit/webhooks-examples')

const LOOKS = 300

test.each(
  documented.filter(({ examples }) => examples.length > 1).map(({ name, examples }) => [name, examples] as const),
)(
  'the payloads of %s, in any order, are no change of their shape, and a field that all of them lose is one',
  (_name, examples) => {
    const random = seededRandom(examples.length)
    const shape = new Shape()
    const look = (payload: object, nth: number) => {
      const outline = outlineOf(payload, shape.maps())
      return outline === undefined ? [] : shape.look(outline, nth)
    }
    for (let nth = 0; nth < LOOKS; nth++) expect(look(oneOf(examples, random), nth)).toEqual([])
    const changes: unknown[] = []
    for (let nth = 0; nth < 100; nth++) {
      const { sender: _, ...rest } = oneOf(examples, random)
      changes.push(...look({ ...rest, added_later: { nth } }, LOOKS + nth))
    }
    const hadSender = examples.every(({ sender }) => sender !== undefined)
    expect(changes).toEqual([
      { path: 'added_later', what: 'new', to: 'object' },
      ...(hadSender ? [{ path: 'sender', what: 'vanished', from: 'object' }] : []),
    ])
  },
)

const oneOf = <Item>(items: readonly Item[], random: Random): Item => items[Math.floor(random() * items.length)] as Item
