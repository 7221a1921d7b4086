import { HoldfastError } from '../../../domain/errors.ts'
import { MAX_NAME_LENGTH } from '../../../domain/limits.ts'
import type { SourceSetup } from '../../../domain/source.ts'
import { noteChange } from '../../ops/audit.ts'
import type { SourceView } from '../../schemas/configuration.ts'
import { type Html, html, own } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { plain, show } from '../html/show.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { pathOf } from './pausing.ts'
import { sourceIn } from './source-state.ts'

const MAX_SUGGESTED = 50

/** A sample that an operator sends through everything that a webhook goes through. */
export function registerSample(routes: ConsoleRoutes, options: ConsolePorts): void {
  routes.form('/sources/:name/sample', 'source.sample', async (sent) => {
    const { name } = sourceIn(options, sent)
    const type = sent.field('type')?.trim() ?? ''
    if (type === '' || type.length > MAX_NAME_LENGTH)
      throw new HoldfastError('invalid_request', 'the type of the sample is missing, or too long')
    noteChange(sent.request, { target: `${name} type=${type}` })
    const data = dataIn(sent.field('data')?.trim() ?? '')
    const uid = await options.sample({
      source: name,
      type,
      requestId: sent.request.id,
      ...(data !== undefined && { data }),
    })
    noteChange(sent.request, { target: `${name} type=${type} ${uid}`, count: 1 })
    return `/console/events/${uid}`
  })
}

function dataIn(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text === '') return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // The error below says so.
  }
  throw new HoldfastError('invalid_request', 'the data of the sample is not the JSON of an object')
}

export async function sampleForm(
  source: SourceView,
  { sampleFault, types }: SourceSetup,
  options: ConsolePorts,
  { frame, mayChange }: Visit,
): Promise<Html> {
  const { name } = source
  const { store } = options
  const [stored = [], newest] = await Promise.all([
    inTime(store.facets.namesWith('type', '')),
    inTime(store.events({ source: name }, { limit: 1 })),
  ])
  const wanted = wantedTypes(source, options)
  const suggested = [...new Set([...wanted, ...types, ...stored])].slice(0, MAX_SUGGESTED)
  const last = newest?.items[0]?.type
  return html`<section class="card pad stack" aria-labelledby="sample"><h2 id="sample">Send a sample</h2>
<p>The service makes an event, signs it as the provider would, and takes it in as a webhook: verified, read, stored, handled.</p>
<p class="warn small"><b>Your handlers run for it</b>, as for any event: they may charge, mail or delete. They can tell it by <code>event.origin</code>, which is <code>sample</code>, and by its id, which begins with <code>sample_</code> where the provider's events have an id.</p>
${
  sampleFault !== undefined
    ? html`<p class="muted">None can be sent here: ${show(sampleFault, 300)}.</p>`
    : mayChange
      ? html`<form class="stack" method="post" action="${own(pathOf('source', name))}/sample">${csrfField(frame)}<label class="field whole">Type <input name="type" list="sample-types" required maxlength="${MAX_NAME_LENGTH}" value="${plain(last ?? wanted[0] ?? types[0] ?? '', MAX_NAME_LENGTH)}" autocomplete="off" spellcheck="false"></label><datalist id="sample-types">${suggested.map((type) => html`<option value="${plain(type, MAX_NAME_LENGTH)}"></option>`)}</datalist>
<details><summary>Data of your own</summary><label class="field tall">JSON of an object; empty: made from the schema of the type, if it has one <textarea name="data" rows="6" spellcheck="false"></textarea></label></details>
<div><button class="btn go" type="submit">Send a sample</button></div></form>`
      : html`<p class="muted">With OPS_TOKEN one can send it.</p>`
}</section>`
}

/** Types that handlers of this source name, and that it names itself, without patterns. */
function wantedTypes({ name, types }: SourceView, { handlers }: ConsolePorts): readonly string[] {
  const wanted = handlers()
    .filter(({ source }) => source === undefined || source === name)
    .flatMap((handler) => handler.types)
  return [...wanted, ...types].filter((type) => !type.includes('*'))
}
