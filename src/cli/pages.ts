import { MAX_PAGE_SIZE } from '../domain/limits.ts'
import { type CliIo, write, writeJson } from './command.ts'
import type { OpsClient, Query } from './ops-client.ts'
import { printable, table } from './table.ts'

interface PageAnswer<Item> {
  readonly items: readonly Item[]
  readonly next_cursor: string | null
}

/** The items of a list of the ops API, page by page: each page is fetched only when it is wanted. */
export async function* walk<Item>(ops: OpsClient, path: string, query: Query): AsyncGenerator<Item> {
  let cursor: string | undefined
  do {
    const page: PageAnswer<Item> = await ops.get(path, { ...query, limit: MAX_PAGE_SIZE, cursor })
    yield* page.items
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
}

/** The first `limit` items, and the cursor of those after them where there are more. */
export async function first<Item>(
  ops: OpsClient,
  path: string,
  query: Query,
  limit: number,
): Promise<{ readonly items: readonly Item[]; readonly next_cursor: string | null }> {
  const items: Item[] = []
  let cursor: string | null = null
  do {
    const page: PageAnswer<Item> = await ops.get(path, {
      ...query,
      limit: Math.min(MAX_PAGE_SIZE, limit - items.length),
      cursor: cursor ?? query.cursor,
    })
    items.push(...page.items)
    cursor = page.next_cursor ?? null
  } while (cursor !== null && items.length < limit)
  return { items, next_cursor: cursor }
}

/** As JSON, or as a table with what it takes to go on. */
export async function writePage<Item>(
  { out, err }: CliIo,
  page: PageAnswer<Item>,
  json: boolean | undefined,
  headings: readonly string[],
  row: (item: Item) => readonly string[],
): Promise<void> {
  if (json === true) return writeJson(out, page)
  await write(out, table(headings, page.items.map(row)))
  if (page.next_cursor !== null) await write(err, `more: --cursor ${printable(page.next_cursor)}\n`)
}
