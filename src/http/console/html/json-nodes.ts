import { createScanner, type JSONScanner } from 'jsonc-parser'

/** A value in a JSON text, by its place there: numbers keep their digits, and a name that stands twice is there twice. */
export interface JsonNode {
  readonly kind: 'object' | 'array' | 'string' | 'number' | 'literal'
  /** The member of an object, the index in an array; of the whole, nothing. */
  readonly name: string
  readonly parent: JsonNode | undefined
  readonly children: readonly JsonNode[]
  /** Of a string, its text; of a number or literal, how it is written. */
  readonly text: string
}

type Growing = JsonNode & { readonly children: JsonNode[] }

/** Kinds of tokens, as jsonc-parser numbers them (its enum is not there at run time). */
const OPEN_BRACE = 1
const CLOSE_BRACE = 2
const OPEN_BRACKET = 3
const CLOSE_BRACKET = 4
const COMMA = 5
const COLON = 6
const STRING = 10
const NUMBER = 11
const END = 17

/** Values of a text; one with more would keep the thread too long. */
const MAX_NODES = 10_000

/** Undefined: the text is no JSON, or has too many values. No depth is too deep. */
export function jsonNodes(text: string): JsonNode | undefined {
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  return nodesOf(createScanner(text, true), text)
}

/** The text is JSON. */
function nodesOf(scanner: JSONScanner, text: string): JsonNode | undefined {
  let root: JsonNode | undefined
  let open: Growing | undefined
  let name: string | undefined
  let count = 0
  const add = (kind: JsonNode['kind'], shown: string): Growing => {
    const node = { kind, name: name ?? String(open?.children.length ?? ''), parent: open, children: [], text: shown }
    name = undefined
    count++
    open?.children.push(node)
    root ??= node
    return node
  }
  for (let token: number = scanner.scan(); token !== END && count <= MAX_NODES; token = scanner.scan()) {
    if (token === OPEN_BRACE) open = add('object', '')
    else if (token === OPEN_BRACKET) open = add('array', '')
    else if (token === CLOSE_BRACE || token === CLOSE_BRACKET) open = open?.parent as Growing | undefined
    else if (token === STRING && open?.kind === 'object' && name === undefined) name = scanner.getTokenValue()
    else if (token === STRING) add('string', scanner.getTokenValue())
    else if (token !== COMMA && token !== COLON) {
      const at = scanner.getTokenOffset()
      add(token === NUMBER ? 'number' : 'literal', text.slice(at, at + scanner.getTokenLength()))
    }
  }
  return count > MAX_NODES ? undefined : root
}

export const isContainer = ({ kind }: JsonNode): boolean => kind === 'object' || kind === 'array'

/** The names that lead to a node. */
export function namesTo(node: JsonNode): readonly string[] {
  const names: string[] = []
  for (let at = node; at.parent !== undefined; at = at.parent) names.push(at.name)
  return names.toReversed()
}

/** The same without the indexes in arrays, as a search in payloads has it. */
export function fieldNamesTo(node: JsonNode): readonly string[] {
  const names: string[] = []
  for (let at = node; at.parent !== undefined; at = at.parent) if (at.parent.kind === 'object') names.push(at.name)
  return names.toReversed()
}

/** Of members with the same name, the last: it is the one that counts. */
export function nodeAt(root: JsonNode, names: readonly string[]): JsonNode | undefined {
  let node: JsonNode | undefined = root
  for (const name of names) node = node?.children.findLast((child) => child.name === name)
  return node
}

/** RFC 6901. */
export const pointerOf = (names: readonly string[]): string =>
  names.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

export const namesIn = (pointer: string): readonly string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
