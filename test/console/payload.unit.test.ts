import { expect, test } from 'vitest'
import {
  type JsonNode,
  jsonNodes,
  namesIn,
  namesTo,
  nodeAt,
  pointerOf,
} from '../../src/http/console/html/json-nodes.ts'
import { differencesOf, payloadDiff } from '../../src/http/console/html/payload-diff.ts'
import { payloadTree } from '../../src/http/console/html/payload-tree.ts'

const nodesOf = (value: unknown): JsonNode => jsonNodes(JSON.stringify(value)) as JsonNode

const treeOf = (start: JsonNode, sought = '', from = 0): string =>
  payloadTree(start, {
    from,
    isSought: ({ text }) => sought !== '' && text === sought,
    findUrl: (path, value) => `/find?q=${encodeURIComponent(`${path.join('.')}:${value}`)}`,
    partUrl: (names, at) => `/part?path=${encodeURIComponent(pointerOf(names))}&from=${at}`,
  }).toString()

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`

test('JSON is read as it is written: digits of numbers, names that stand twice, and any depth', () => {
  const root = jsonNodes('{"n": 9007199254740993, "a": 1.50, "a": -0, "s": "\\u0041\\ud800", "": [null, true]}')
  expect(root?.children.map(({ name, kind, text }) => [name, kind, text])).toEqual([
    ['n', 'number', '9007199254740993'],
    ['a', 'number', '1.50'],
    ['a', 'number', '-0'],
    ['s', 'string', 'A\ud800'],
    ['', 'array', ''],
  ])
  expect(root && nodeAt(root, ['', '1'])?.text).toBe('true')
  expect(jsonNodes('"alone"')).toMatchObject({ kind: 'string', text: 'alone', children: [] })
  for (const broken of ['', '{', '{"a":1,}', '[1 2]', '{"a":1} // no', "{'a':1}", nested(9).slice(1)])
    expect(jsonNodes(broken)).toBeUndefined()
  expect(jsonNodes(nested(9_000))?.children).toHaveLength(1)
  expect(jsonNodes(nested(10_001))).toBeUndefined()
  const names = ['a/b', '~', '', 'x.y']
  expect(namesIn(pointerOf(names))).toEqual(names)
})

test('a tree has at most 200 nodes of 12 levels, and leads to the rest of them', () => {
  const rows = Array.from({ length: 1_000 }, (_, id) => ({ id, name: `row ${id}` }))
  const tree = treeOf(nodesOf({ before: rows, after: 'still shown' }))
  expect(tree.match(/<li/g)?.length).toBeLessThan(320)
  expect(tree.includes('still shown')).toBe(true)
  expect(tree.includes('940 more')).toBe(true)
  const [, from] = /from&#x3D;(\d+)">940 more/.exec(tree) ?? []
  expect(treeOf(nodesOf(rows), '', Number(from)).includes(`<bdi>${from}</bdi>`)).toBe(true)
  const deep = treeOf(jsonNodes(nested(9_000)) as JsonNode)
  expect(deep.match(/<details/g)).toHaveLength(11)
  expect(deep).toContain('>show</a>')
})

test('a tree has less than 45 kB, whatever is in it, and shows what it can of each value', () => {
  const texts = ['\0'.repeat(100_000), '\u202e'.repeat(5_000), '"<&>\''.repeat(5_000), '漢'.repeat(5_000)]
  const values = [
    Object.fromEntries(texts.entries()),
    Object.fromEntries(texts.map((text) => [text, text])),
    Array.from({ length: 50 }, () => ({ texts: texts.slice(1), again: { texts: texts.slice(1) } })),
    'x'.repeat(200_000),
  ]
  for (const value of values) {
    const tree = treeOf(nodesOf(value))
    expect(Buffer.byteLength(tree)).toBeLessThan(45_000)
    expect(tree).not.toContain('\0')
    expect(tree).not.toContain('\u202e')
    expect(tree.match(/<details/g)?.length).toBe(tree.match(/<\/details>/g)?.length)
    expect(tree.match(/<li/g)?.length).toBe(tree.match(/<\/li>/g)?.length)
  }
})

test('what is looked for is marked, and what holds it is open although it lies beyond the bounds', () => {
  const deep = { a: { b: { c: { d: 'needle' } } }, rows: Array.from({ length: 500 }, (_, at) => ({ at: `row ${at}` })) }
  const tree = treeOf(nodesOf(deep), 'needle')
  expect(tree).toContain('<mark><span class="s">"<bdi>needle</bdi>"</span></mark>')
  expect(tree.match(/<details open/g)).toHaveLength(4)
  expect(treeOf(nodesOf(deep), 'row 499')).toContain('<mark><span class="s">"<bdi>row 499</bdi>"</span></mark>')
  expect(treeOf(nodesOf(deep), 'nothing')).not.toContain('<mark>')
})

test('a value is copied with its true characters', () => {
  const tree = treeOf(nodesOf({ name: 'Zoë \u202eX', other: 'a\0b\r' }))
  expect(tree).toContain('data-copy="Zoë \u202eX"')
  expect(tree).toContain('data-copy="&quot;a\\u0000b\\r&quot;"')
})

test('two payloads differ in values at paths, at most 50 of them', () => {
  const shown = (before: unknown, after: unknown) =>
    differencesOf(nodesOf(before), nodesOf(after)).differences.map(
      ({ kind, node }) => `${kind} ${namesTo(node).join('.')} ${node.text}`,
    )
  expect(shown({ a: 1, b: { c: 'x' } }, { b: { c: 'x' }, a: 1 })).toEqual([])
  expect(shown({ a: 1, gone: { x: 1 }, l: [1, 2] }, { a: 2, l: [1, 3, 4], new: { y: [] } })).toEqual([
    'old a 1',
    'new a 2',
    'old gone.x 1',
    'old l.1 2',
    'new l.1 3',
    'new l.2 4',
    'new new.y ',
  ])
  expect(shown({ a: { b: 1 } }, { a: 'text' })).toEqual(['old a.b 1', 'new a text'])
  expect(shown({ a: 1 }, { a: '1' })).toEqual(['old a 1', 'new a 1'])
  const many = differencesOf(nodesOf(Array.from({ length: 500 }, (_, at) => at)), nodesOf([]))
  expect([many.differences.length, many.more]).toEqual([50, true])
  const [one, other] = [nested(9_000), nested(8_999).replace('[]', '[1]')].map((text) => jsonNodes(text) as JsonNode)
  expect(one && other && payloadDiff(one, other).toString().length).toBeLessThan(1_000)
})
