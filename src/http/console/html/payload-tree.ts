import { Budget } from './budget.ts'
import { copyButton } from './copied.ts'
import { type Html, html, NOTHING, own, rendered, when } from './html.ts'
import { fieldNamesTo, isContainer, type JsonNode, namesTo } from './json-nodes.ts'
import { cut, plain, show } from './show.ts'
import { counted, whole } from './words.ts'

/** Bounds of one tree; what lies beyond is behind a link. */
const MAX_NODES = 200
/** Nodes of one object or array below the first, so that it leaves room for what follows. */
const MAX_CHILDREN = 60
const MAX_DEPTH = 12
const MAX_BYTES = 42_000
/** Characters of a string; if there are many long ones, less of each is shown. */
const MAX_TEXT = 2_048
const SHORT_TEXT = 200
const BEGINNING = 80
const MAX_LONG_TEXTS = 16_384
/** Of a string in the page: each character that cannot be seen is a box. */
const MAX_TEXT_BYTES = 8_192
const MAX_URL = 2_048
const MAX_NAME = 128
/** Below the first level, what has so few children and stands beside so few others is unfolded at first. */
const MAX_OPEN = 12
/** Values that match, of all in the payload, which are marked; and those of one object or array that are shown beyond its bound. */
const MAX_MARKED = 64
const MAX_MARKED_BEYOND = 8
/** Characters of a value that can be copied, or that others can be found by. */
const MAX_ACTED_ON = 256

export interface TreeOptions {
  /** Children of the first node before this one are not shown. */
  readonly from: number
  /** Whether a value is what the person has searched for. `path`: its names without the indexes of arrays. */
  readonly isSought: (node: JsonNode, path: () => string) => boolean
  /** Where one finds other events with a value at a path; undefined: one cannot. */
  readonly findUrl: (path: readonly string[], value: string) => string | undefined
  /** Where the part at a node is shown, from one of its children on. */
  readonly partUrl: (names: readonly string[], from: number) => string
}

/** A JSON payload as a tree that folds, from a node on. */
export function payloadTree(start: JsonNode, options: TreeOptions): Html {
  const marked = markedIn(start, options)
  return html`<div class="tree">${new Tree(start, options, marked).render()}</div>`
}

/** What is marked, and what holds it. */
interface Marked {
  readonly values: ReadonlySet<JsonNode>
  readonly holders: ReadonlySet<JsonNode>
}

function markedIn(start: JsonNode, { isSought }: TreeOptions): Marked {
  const values = new Set<JsonNode>()
  const holders = new Set<JsonNode>()
  const waiting = [start]
  for (let node = waiting.pop(); node !== undefined && values.size < MAX_MARKED; node = waiting.pop()) {
    for (let at = node.children.length - 1; at >= 0; at--) waiting.push(node.children[at] as JsonNode)
    const found = node
    if (isContainer(node) || !isSought(node, () => fieldNamesTo(found).join('.'))) continue
    values.add(node)
    for (let at = node.parent; at !== undefined && !holders.has(at); at = at.parent) holders.add(at)
  }
  return { values, holders }
}

class Tree {
  readonly #start: JsonNode
  readonly #options: TreeOptions
  readonly #marked: Marked
  readonly #maxText: number
  /** Of each object or array that unfolds, the children that are shown, each with its beginning. */
  readonly #shown = new Map<JsonNode, readonly (readonly [JsonNode, Html])[]>()

  constructor(start: JsonNode, options: TreeOptions, marked: Marked) {
    this.#start = start
    this.#options = options
    this.#marked = marked
    const picked = this.#picked()
    const long = [...picked.values()]
      .flat()
      .reduce((sum, { text }) => sum + Math.min(MAX_TEXT, Math.max(0, text.length - SHORT_TEXT)), 0)
    this.#maxText = long > MAX_LONG_TEXTS ? SHORT_TEXT : MAX_TEXT
    const budget = new Budget(MAX_BYTES)
    for (const [node, children] of picked) {
      const shown: (readonly [JsonNode, Html])[] = []
      for (const child of budget.isSpent ? [] : children) {
        const line = budget.take(this.#line(child, picked.has(child)))
        if (line === undefined) break
        shown.push([child, line])
        // Where it unfolds, there may be no room for what is in it, and then there is a link.
        if (picked.has(child)) budget.spend(this.#rest(child, 0, child.children.length))
      }
      this.#shown.set(node, shown)
    }
  }

  /** Level by level, so that what is deep is cut before what is not. */
  #picked(): ReadonlyMap<JsonNode, readonly JsonNode[]> {
    const picked = new Map<JsonNode, readonly JsonNode[]>()
    let left = MAX_NODES
    let level: readonly JsonNode[] = [this.#start]
    for (let depth = 0; depth < MAX_DEPTH && level.length > 0; depth++) {
      const next: JsonNode[] = []
      for (const node of level) {
        const first = this.#firstOf(node)
        const room = Math.min(left, node === this.#start ? MAX_NODES : MAX_CHILDREN)
        const found = (child: JsonNode) => this.#marked.values.has(child) || this.#marked.holders.has(child)
        const beyond = node.children.slice(first + room).filter(found)
        const children = [...node.children.slice(first, first + room), ...beyond.slice(0, MAX_MARKED_BEYOND)]
        left = Math.max(0, left - children.length)
        picked.set(node, children)
        next.push(...children.filter((child) => child.children.length > 0))
      }
      level = next
    }
    return picked
  }

  #firstOf = (node: JsonNode): number => (node === this.#start ? this.#options.from : 0)

  render(): Html {
    const start = this.#start
    if (start.children.length > 0) return this.#children(start)
    return html`<ul><li>${isContainer(start) ? html`<span class="z">${sizeOf(start)}</span>` : this.#scalar(start)}${this.#actions(start)}</li></ul>`
  }

  /** Not deeper than `MAX_DEPTH`. */
  #children(node: JsonNode): Html {
    const shown = this.#shown.get(node) ?? []
    const first = this.#firstOf(node)
    let upTo = first
    const items = shown.map(([child, line]) => {
      if (child === node.children[upTo]) upTo++
      return this.#shown.has(child) ? html`<li>${line}${this.#children(child)}</details></li>` : html`<li>${line}</li>`
    })
    const rest = node.children.length - first - items.length
    return html`<ul>${items}${when(rest > 0, () => this.#rest(node, upTo, rest))}</ul>`
  }

  /** A value, or the beginning of an object or array that unfolds. */
  #line(node: JsonNode, unfolds: boolean): Html {
    const label = html`<span class="k">${show(node.name, MAX_NAME)}</span>`
    if (!isContainer(node)) return html`<div>${label}: ${this.#scalar(node)}</div>${this.#actions(node)}`
    const size = html`<span class="z">${sizeOf(node)}</span>`
    if (node.children.length === 0) return html`<span>${label}: ${size}</span>`
    const holds = this.#marked.holders.has(node)
    if (unfolds) {
      const isOpen = holds || node.parent === this.#start || isSmall(node)
      return html`<details${when(isOpen, () => OPEN)}><summary>${label} ${size}</summary>`
    }
    const found = when(holds, () => html` <mark>what you looked for is in it</mark>`)
    return html`<span>${label} ${size}</span>${found} ${this.#link(node, 0, SHOW)}`
  }

  #rest = (node: JsonNode, from: number, count: number): Html =>
    html`<li>${this.#link(node, from, own(`${whole(count)} more`))}</li>`

  /** The way to a part; a name may be too long for a URL. */
  #link(node: JsonNode, from: number, word: Html): Html {
    const url = this.#options.partUrl(namesTo(node), from)
    if (url.length > MAX_URL) return html`<span class="z">${word} in the exact bytes</span>`
    return html`<a class="more" href="${own(url)}">${word}</a>`
  }

  #scalar(node: JsonNode): Html {
    const { kind, text } = node
    const value =
      kind === 'string'
        ? this.#string(node)
        : html`<span class="${own(text === 'null' ? 'z' : 'v')}">${show(text, SHORT_TEXT)}</span>`
    return this.#marked.values.has(node) ? html`<mark>${value}</mark>` : value
  }

  /** A long string folds, and is cut. */
  #string(node: JsonNode): Html {
    const { text } = node
    if (text.length <= SHORT_TEXT) return html`<span class="s">"${show(text, SHORT_TEXT)}"</span>`
    const whole = rendered(show(text, this.#maxText))
    const isDear = whole.toString().length > MAX_TEXT_BYTES && node !== this.#start
    const shown = isDear ? SHORT_TEXT : cut(text, this.#maxText).length
    const size = html`<span class="z">${own(counted(text.length, 'character'))}</span>`
    if (shown <= SHORT_TEXT)
      return html`<span class="s">"${show(text, SHORT_TEXT)}"</span> ${size} ${this.#link(node, 0, SHOW)}`
    const rest = text.length - shown
    return html`<details class="long"${when(node === this.#start, () => OPEN)}><summary>"${show(text, BEGINNING)}" ${size}</summary><span class="s">"${whole}"</span>${when(rest > 0, () => html` <span class="z">${own(counted(rest, 'more character'))}: the exact bytes have them</span>`)}</details>`
  }

  #actions(node: JsonNode): Html {
    const names = namesTo(node)
    const { text, name, kind } = node
    const path = names.join('.')
    if (names.length === 0 || text.length > MAX_ACTED_ON || path.length > MAX_ACTED_ON) return NOTHING
    const of = html`<span class="hide"> ${plain(name, 40)}</span>`
    const url = kind === 'literal' ? undefined : this.#options.findUrl(fieldNamesTo(node), text)
    return html`<span class="do">${url === undefined ? NOTHING : html`<a href="${own(url)}">find others<span class="hide"> with this ${plain(name, 40)}</span></a>`}${copyButton(path, html`copy path${of}`, 'link')}${when(text !== '', () => copyButton(text, html`copy value${of}`, 'link'))}</span>`
  }
}

const isSmall = ({ children, parent }: JsonNode): boolean =>
  children.length <= MAX_OPEN && (parent?.children.length ?? 0) <= MAX_OPEN

const sizeOf = ({ kind, children: { length } }: JsonNode): Html =>
  own(kind === 'object' ? `{${length}}` : `[${length}]`)

const OPEN = html` open`
const SHOW = html`show`
