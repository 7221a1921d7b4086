import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** By version, of all its files together. */
function checksums(store: 'sqlite' | 'postgres'): Readonly<Record<string, string>> {
  const directory = new URL(`../../src/storage/${store}/migrations/`, import.meta.url)
  const files = readdirSync(directory).toSorted()
  const textOf = (file: string): string => readFileSync(new URL(file, directory), 'utf8')
  const byVersion = Map.groupBy(files, (file) => file.slice(0, 3))
  return Object.fromEntries(
    [...byVersion].map(([version, its]) => [version, hash('sha256', its.map(textOf).join('')).slice(0, 12)]),
  )
}

// A database that has a version never runs its files again: a change to them reaches new databases only. Add a version instead.
test('the migrations of versions that databases may have are as they were', () => {
  expect(checksums('sqlite')).toMatchInlineSnapshot(`
    {
      "001": "332a74cbb91b",
      "002": "249b38b7748a",
      "003": "9b7985ee8569",
      "004": "87bcc91772dc",
      "005": "71ea8d300829",
      "006": "9a7229461418",
      "007": "56d2128827f8",
      "008": "78478481687e",
    }
  `)
  expect(checksums('postgres')).toMatchInlineSnapshot(`
    {
      "001": "e8a4727ea4a0",
      "002": "7bc23119e8df",
      "003": "17d423cb18f9",
      "004": "dc53331abcf6",
      "005": "22b98d58213b",
      "006": "59b10b1e6006",
      "007": "459d55bcc42e",
    }
  `)
})
