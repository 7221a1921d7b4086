import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const checkout = join(import.meta.dirname, '../..')

export interface Block {
  readonly page: string
  /** Line of its first line, from 1. */
  readonly line: number
  readonly language: string
  readonly text: string
  /** The reasons in a comment `<!-- not run: … -->` on the line before it; undefined: the block is run. */
  readonly notRun: readonly string[] | undefined
  /** The path in a comment `<!-- file: … -->` on the line before it. */
  readonly file: string | undefined
}

export interface Reference {
  readonly page: string
  readonly line: number
  readonly text: string
}

export interface Page {
  /** From the root of the repository. */
  readonly name: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** What headings can be linked by. */
  readonly anchors: ReadonlySet<string>
  /** Targets of links and pictures. */
  readonly links: readonly Reference[]
  /** Inline code. */
  readonly spans: readonly Reference[]
}

const FENCE = /^```(?<language>\w*)$/
const COMMENT = /^<!-- (?<kind>not run|file): (?<what>.+) -->$/

/** README, the pages in docs, and the documents beside README. */
export const pages: readonly Page[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(checkout, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .map((name) => `docs/${name}`),
].map(readPage)

export function pageNamed(name: string): Page {
  const page = pages.find((each) => each.name === name)
  if (page === undefined) throw new Error(`there is no page ${name}`)
  return page
}

function readPage(name: string): Page {
  const text = readFileSync(join(checkout, name), 'utf8')
  const lines = text.split('\n')
  const blocks: Block[] = []
  const prose = [...lines]
  for (let at = 0; at < lines.length; at++) {
    const language = FENCE.exec(lines[at] ?? '')?.groups?.language
    if (language === undefined) continue
    const end = lines.indexOf('```', at + 1)
    if (end < 0) throw new Error(`${name}:${at + 1}: the block has no end`)
    const { kind, what = '' } = COMMENT.exec(lines[at - 1] ?? '')?.groups ?? {}
    blocks.push({
      page: name,
      line: at + 2,
      language,
      text: lines.slice(at + 1, end).join('\n'),
      notRun: kind === 'not run' ? what.split(', ') : undefined,
      file: kind === 'file' ? what : undefined,
    })
    prose.fill('', at, end + 1)
    at = end
  }
  const find = (pattern: RegExp): Reference[] =>
    prose.flatMap((line, at) =>
      [...line.matchAll(pattern)].map((match) => ({ page: name, line: at + 1, text: match[1] ?? '' })),
    )
  const withoutCode = /\]\(([^)\s]+)\)/g
  return { name, text, blocks, anchors: anchorsIn(prose), links: find(withoutCode), spans: find(/`([^`]+)`/g) }
}

/** As GitHub makes them of headings. */
function anchorsIn(lines: readonly string[]): ReadonlySet<string> {
  const anchors = new Set<string>()
  for (const line of lines) {
    const heading = /^#{1,6} (?<heading>.+)$/.exec(line)?.groups?.heading
    if (heading === undefined) continue
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  return anchors
}
