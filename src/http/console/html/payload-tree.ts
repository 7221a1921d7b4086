import { type Node, parseTree } from 'jsonc-parser'
import { type Html, html, NOTHING, own, when } from './html.ts'
import { plain, show } from './show.ts'
import { bytes, whole } from './words.ts'

/** Bounds of one tree; what lies beyond is behind a link. */
const MAX_NODES = 200
const MAX_TEXT = 2_048
const MAX_DEPTH = 12
/** Levels that are unfolded at first. */
const OPEN_DEPTH = 2

interface TreeOptions {
  /** Where one finds other events with a value at a path. */
  readonly findUrl: (path: string, value: string) => string
  /** Where the part at a path is shown. */
  readonly partUrl: (path: string) => string
}

/**
 * A JSON payload as a tree that folds, as its text has it: numbers keep their digits, and a name that stands twice is shown twice.
 * `path`: only the part there. Undefined: the text is no JSON, or has nothing there.
 */
export function payloadTree(text: string, path: readonly string[], options: TreeOptions): Html | undefined {
  const errors: { error: number }[] = []
  const root = parseTree(text, errors as never)
  const start = root && errors.length === 0 ? partOf(root, path) : undefined
  if (start === undefined) return undefined
  return html`<div class="tree">${new Tree(text, options).children(start, path.join('.'), 0)}</div>`
}

function partOf(root: Node, path: readonly string[]): Node | undefined {
  let node: Node | undefined = root
  for (const name of path) {
    node =
      node?.type === 'array'
        ? node.children?.[Number(name)]
        : node?.children?.find(({ children: [key] = [] }) => key?.value === name)?.children?.[1]
  }
  return node
}

class Tree {
  readonly #text: string
  readonly #options: TreeOptions
  #left = MAX_NODES

  constructor(text: string, { findUrl, partUrl }: TreeOptions) {
    this.#text = text
    // A URL cannot hold half a character, as JSON can.
    this.#options = {
      findUrl: (path, value) => findUrl(path.toWellFormed(), value.toWellFormed()),
      partUrl: (path) => partUrl(path.toWellFormed()),
    }
  }

  children(node: Node, path: string, depth: number): Html {
    if (node.type !== 'object' && node.type !== 'array')
      return html`<ul><li><span>${this.#scalar(node)}</span></li></ul>`
    const all = node.children ?? []
    const items: Html[] = []
    for (const [at, child] of all.entries()) {
      if (this.#left <= 0) {
        items.push(this.#rest(all.length - at, path))
        break
      }
      this.#left--
      const [key, value] = node.type === 'object' ? (child.children ?? []) : [undefined, child]
      if (value !== undefined) items.push(this.#item(String(key?.value ?? at), value, path, depth))
    }
    return html`<ul>${items}</ul>`
  }

  #rest = (count: number, path: string): Html =>
    html`<li><a class="do" href="${own(this.#options.partUrl(path))}">${own(whole(count))} more</a></li>`

  #item(name: string, value: Node, parent: string, depth: number): Html {
    const path = parent === '' ? name : `${parent}.${name}`
    const label = html`<span class="k">${show(name, 128)}</span>`
    if (value.type !== 'object' && value.type !== 'array')
      return html`<li><span>${label}: ${this.#scalar(value)}</span>${this.#actions(path, value)}</li>`
    const count = value.children?.length ?? 0
    const size = html`<span class="z">${own(value.type === 'object' ? `{${count}}` : `[${count}]`)}</span>`
    if (count === 0) return html`<li><span>${label}: ${size}</span></li>`
    if (depth >= MAX_DEPTH)
      return html`<li><span>${label} ${size}</span> <a class="do" href="${own(this.#options.partUrl(path))}">show</a></li>`
    return html`<li><details${when(depth < OPEN_DEPTH, () => OPEN)}><summary>${label} ${size}</summary>${this.children(value, path, depth + 1)}</details></li>`
  }

  #scalar({ type, value, offset, length }: Node): Html {
    if (type === 'string') {
      const rest = value.length - MAX_TEXT
      return html`<span class="s">"${show(value, MAX_TEXT)}"</span>${when(rest > 0, () => html` <span class="z">${own(bytes(rest))} more in the exact bytes</span>`)}`
    }
    return html`<span class="${own(type === 'null' ? 'z' : 'v')}">${show(this.#text.slice(offset, offset + length), 80)}</span>`
  }

  #actions(path: string, { type, value, offset, length }: Node): Html {
    const text = type === 'string' ? (value as string) : this.#text.slice(offset, offset + length)
    if (text === '' || text.length > 256 || path.includes(':')) return NOTHING
    return html` <a class="do" href="${own(this.#options.findUrl(path, text))}">find others<span class="hide"> with this ${plain(path, 80)}</span></a><button class="do link" type="button" data-copy="${plain(path, 256)}">copy path<span class="hide"> ${plain(path, 80)}</span></button>`
  }
}

const OPEN = html` open`
