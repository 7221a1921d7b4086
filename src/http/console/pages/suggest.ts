import { EVENT_STATUSES, ORIGINS } from '../../../domain/event.ts'
import { MAX_SUGGESTED } from '../../../domain/event-facets.ts'
import { EVENT_OUTCOMES } from '../../../domain/outcome.ts'
import { createSuggest } from '../../ops/event-facets.ts'
import { html, own } from '../html/html.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes } from '../routes.ts'
import { FIELDS, quoted } from '../search-words.ts'

/** Characters of a search that is gone on with. */
const MAX_QUERY = 1_000
/** What reads as something else than it is, is not suggested. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u

const WORDS: Readonly<Record<string, readonly string[]>> = {
  outcome: EVENT_OUTCOMES,
  status: EVENT_STATUSES,
  origin: ORIGINS,
  since: ['15m', '1h', '24h', '7d'],
  until: ['15m', '1h', '24h', '7d'],
}

/** The options of the search field: the search so far, with its last word gone on with. */
export function registerSuggestions(routes: ConsoleRoutes, ports: ConsolePorts): void {
  const names = createSuggest(ports)

  async function endings(word: string): Promise<readonly string[]> {
    const [, field, begun = ''] = /^(\w+):(.*)$/s.exec(word) ?? []
    if (field === 'source' || field === 'type')
      return (await names(field, begun.replace(/^"/, ''))).map((name) => `${field}:${quoted(name)}`)
    if (field !== undefined) return (WORDS[field] ?? []).map((each) => `${field}:${each}`)
    const [sources, types, paths] = await Promise.all([
      names('source', word),
      word === '' ? [] : names('type', word),
      names('path', word),
    ])
    return [
      ...FIELDS.map((each) => `${each}:`),
      ...sources.map((name) => `source:${quoted(name)}`),
      ...types.map((name) => `type:${quoted(name)}`),
      ...paths.map((path) => `${path}:`),
    ].filter((each) => each.startsWith(word) || each.slice(each.indexOf(':') + 1).startsWith(word))
  }

  routes.suggestions('/suggest', async ({ query }) => {
    const text = (query.get('q') ?? '').slice(0, MAX_QUERY)
    const word = /\S*$/.exec(text)?.[0] ?? ''
    const before = text.slice(0, text.length - word.length)
    const found = (await endings(word)).filter((each) => each.startsWith(word) || !word.includes(':'))
    const options = found.filter((each) => each !== word && !UNSEEN.test(each)).slice(0, MAX_SUGGESTED)
    return html`${options.map((each) => html`<option value="${own(before + each)}"></option>`)}`
  })
}
