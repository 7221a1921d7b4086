import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../domain/limits.ts'
import type { HandlerJson, SourceJson } from '../http/schemas/configuration.ts'
import type { PageJson } from '../http/schemas/schema.ts'
import { type CliIo, didYouMean, EXIT_OK, parseCount } from './command.ts'
import { type OpsClient, type QueryParameters, withOps } from './ops-client.ts'
import { printable, shownFlags, write, writeJson } from './output.ts'
import { type Columns, table } from './table.ts'
import { viewOf } from './view.ts'

/** The most items that one `list` shows. */
const MAX_LISTED = 10_000

/** How long a list goes on with a search in payloads, which the service answers part by part. */
const MAX_SEARCH_MS = 10_000

/** The options that every `list` has. */
export const listFlags = {
  limit: { value: '<n>', help: `how many; ${DEFAULT_PAGE_SIZE} unless given` },
  cursor: { value: '<cursor>', help: 'go on where an earlier list ended' },
  ...shownFlags,
} as const

interface ListRequest<Item, Page> {
  readonly path: string
  /** `source` and `handler` are names; if the list is empty, the command says which of them do not exist. */
  readonly filter: QueryParameters & Names
  readonly columns: Columns<Item>
  readonly limit: string | undefined
  readonly cursor: string | undefined
  readonly utc: boolean
  readonly json: boolean
  /** What is said of the page below the table. */
  readonly note?: (page: Page) => string | undefined
}

/** Runs a `list` command: shows a page as JSON, or as a table and the cursor of the next page. */
export async function runList<Item, Page extends PageJson<Item> = PageJson<Item>>(
  io: CliIo,
  request: ListRequest<Item, Page>,
): Promise<number> {
  const { path, filter, columns, cursor, utc, json } = request
  const limit = parseCount('limit', request.limit ?? String(DEFAULT_PAGE_SIZE), MAX_LISTED)
  return withOps(io, async (ops) => {
    const page = await first<Item, Page>(ops, path, { ...filter, cursor }, limit)
    if (json) await writeJson(io.out, page)
    else {
      await write(io.out, table(viewOf(io.out, { utc }), columns, page.items))
      const note = request.note?.(page)
      if (note !== undefined) await write(io.err, note)
      if (page.next_cursor !== null) await write(io.err, `more: --cursor ${printable(page.next_cursor)}\n`)
    }
    if (page.items.length === 0) await hintAtUnknown(io, ops, filter)
    return EXIT_OK
  })
}

/** The first `limit` items, and the cursor of the items after them, if there are more. */
async function first<Item, Page extends PageJson<Item>>(
  ops: OpsClient,
  path: string,
  query: QueryParameters,
  limit: number,
): Promise<Page> {
  const items: Item[] = []
  const endMs = performance.now() + MAX_SEARCH_MS
  for (let { cursor } = query; ; ) {
    const page: Page = await ops.get(path, { ...query, limit: Math.min(MAX_PAGE_SIZE, limit - items.length), cursor })
    items.push(...page.items)
    const isOver = 'scanned_until' in page && performance.now() >= endMs
    if (page.next_cursor === null || items.length >= limit || isOver) return { ...page, items }
    cursor = page.next_cursor
  }
}

/** All items of a list of the ops API. Each page is fetched only when its items are wanted. */
export async function* walk<Item>(ops: OpsClient, path: string, query: QueryParameters): AsyncGenerator<Item> {
  let cursor: string | undefined
  do {
    const page: PageJson<Item> = await ops.get(path, { ...query, limit: MAX_PAGE_SIZE, cursor })
    yield* page.items
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
}

export interface Names {
  readonly source?: string | undefined
  readonly handler?: string | undefined
}

/** One sentence for each of these names that the running service does not have. */
export async function unknownNames(ops: OpsClient, names: Names): Promise<readonly string[]> {
  const faults: string[] = []
  for (const kind of ['source', 'handler'] as const) {
    const name = names[kind]
    if (name === undefined) continue
    const known = (await ops.get<{ items: (SourceJson | HandlerJson)[] }>(`/v1/${kind}s`)).items.map(
      (item) => item.name,
    )
    if (!known.includes(name))
      faults.push(`there is no ${kind} ${name}; known are ${known.join(', ') || 'none'}${didYouMean(name, known)}`)
  }
  return faults
}

/**
 * For an empty list: writes which source or handler of the filter does not exist. This is not an error, because a source or handler
 * that was removed may have had items.
 */
async function hintAtUnknown({ err }: CliIo, ops: OpsClient, names: Names): Promise<void> {
  for (const fault of await unknownNames(ops, names)) await write(err, `${printable(fault)}\n`)
}
