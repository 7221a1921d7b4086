import { fitting } from './budget.ts'
import { type Html, html, own, when } from './html.ts'
import type { JsonNode } from './json-nodes.ts'
import { show } from './show.ts'

/** Lines and bytes of one comparison, and characters of a path and of a value in it. */
const MAX_LINES = 50
const MAX_BYTES = 8_000
const MAX_PATH = 160
const MAX_VALUE = 120
const MAX_NAMES = 32

export interface Difference {
  readonly kind: 'old' | 'new'
  readonly node: JsonNode
}

interface Pair {
  readonly old: JsonNode | undefined
  readonly new: JsonNode | undefined
}

/**
 * What two payloads differ in, in their order: the values that are only in one of them, or are another there. At most `max`, and
 * whether there are more.
 */
export function differencesOf(
  before: JsonNode,
  after: JsonNode,
  max = MAX_LINES,
): { readonly differences: readonly Difference[]; readonly more: boolean } {
  const differences: Difference[] = []
  const waiting: Pair[] = [{ old: before, new: after }]
  for (let pair = waiting.pop(); pair !== undefined && differences.length <= max; pair = waiting.pop()) {
    const { old, new: now } = pair
    const rest = nextPairs(pair)
    for (let at = rest.length - 1; at >= 0; at--) waiting.push(rest[at] as Pair)
    if (rest.length > 0 || (old?.kind === now?.kind && old?.text === now?.text)) continue
    if (old !== undefined) differences.push({ kind: 'old', node: old })
    if (now !== undefined) differences.push({ kind: 'new', node: now })
  }
  return { differences: differences.slice(0, max), more: differences.length > max }
}

/** What is compared in place of a pair. Nothing: the pair itself. */
function nextPairs({ old, new: now }: Pair): readonly Pair[] {
  if (old !== undefined && now !== undefined) {
    if (old.kind === now.kind) return childPairs(old, now)
    return [
      { old, new: undefined },
      { old: undefined, new: now },
    ]
  }
  const olds = (old?.children ?? []).map((child) => ({ old: child, new: undefined }))
  return [...olds, ...(now?.children ?? []).map((child) => ({ old: undefined, new: child }))]
}

/** Members by their names, elements by their places; members that are only new come last. */
function childPairs(before: JsonNode, after: JsonNode): readonly Pair[] {
  const news = new Map(after.children.map((child) => [child.name, child]))
  const olds = new Map(before.children.map((child) => [child.name, child]))
  return [
    ...[...olds.values()].map((old) => ({ old, new: news.get(old.name) })),
    ...[...news.values()].filter(({ name }) => !olds.has(name)).map((node) => ({ old: undefined, new: node })),
  ]
}

/** The differences as lines: − what was, + what is. */
export function payloadDiff(before: JsonNode, after: JsonNode): Html {
  const { differences, more } = differencesOf(before, after)
  if (differences.length === 0) return html`<p class="pad small muted">The payloads have the same values.</p>`
  const lines = fitting(differences.values().map(line), MAX_BYTES)
  const isCut = more || lines.length < differences.length
  return html`<div class="diff">${lines}</div>${when(isCut, () => html`<p class="pad small muted">They differ in more.</p>`)}`
}

function line({ kind, node }: Difference): Html {
  const shown = html`${show(pathTo(node), MAX_PATH)}: ${valueOf(node)}`
  return kind === 'old'
    ? html`<del><span class="hide">Was: </span>− ${shown}</del>`
    : html`<ins><span class="hide">Is: </span>+ ${shown}</ins>`
}

/** A payload may nest so deep that the whole path is longer than the payload. */
function pathTo(node: JsonNode): string {
  const names: string[] = []
  let at = node
  for (; at.parent !== undefined && names.length < MAX_NAMES; at = at.parent) names.push(at.name)
  return `${at.parent === undefined ? '' : '….'}${names.toReversed().join('.')}`
}

function valueOf({ kind, text }: JsonNode): Html {
  if (kind === 'object' || kind === 'array') return own(kind === 'object' ? '{}' : '[]')
  return kind === 'string' ? html`"${show(text, MAX_VALUE)}"` : show(text, MAX_VALUE)
}
