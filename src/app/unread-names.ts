import type { SourceConfig } from '../domain/config.ts'
import { editsBetween } from '../domain/nearest-name.ts'
import type { Environment } from './environment.ts'

/** How many letters of a name may be wrong, for names from this length. Shorter names are too often those of other programs. */
const MAX_EDITS = [
  { length: 14, edits: 2 },
  { length: 6, edits: 1 },
] as const

/** Names that Docker and Kubernetes give the containers of a service that is called `source` or `source-…`. */
const OF_A_SERVICE = /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/

/**
 * Warnings for variables that look like settings and are none, with the name that was probably meant. `settings`: the names of all
 * settings, without `_FILE`. An environment has many names of other programs, so that a name must be very near to a setting, or have
 * the form of a source's setting.
 */
export function unreadNames(
  environment: Environment,
  settings: ReadonlySet<string>,
  sources: readonly SourceConfig[],
): readonly string[] {
  const isSet = (name: string): boolean => environment[name] !== undefined || environment[`${name}_FILE`] !== undefined
  return Object.keys(environment).flatMap((variable) => {
    const name = variable.replace(/_FILE$/, '')
    if (!/^[A-Z][A-Z\d_]*$/.test(variable) || settings.has(name) || settings.has(variable)) return []
    const ofSource = variable.startsWith('SOURCE_') ? unreadOfSource(variable, settings, sources) : undefined
    if (ofSource !== undefined) return [ofSource]
    const near = nearestSetting(name, settings)
    if (near === undefined || isSet(near)) return []
    return [`${variable} is not a setting${meant(`${near}${variable.slice(name.length)}`)}`]
  })
}

const meant = (setting: string | undefined): string => (setting === undefined ? '' : `: is ${setting} meant?`)

/** The nearest setting within the edits that this length allows; or the one that only has a unit more, as in `HANDLER_TIMEOUT`. */
function nearestSetting(name: string, settings: Iterable<string>): string | undefined {
  const most = MAX_EDITS.find(({ length }) => name.length >= length)?.edits ?? 0
  const all = [...settings]
  return nearestOf(name, all, most) ?? all.find((each) => each.replace(UNIT, '') === name && name.includes('_'))
}

const UNIT = /_[A-Z]+$/

function nearestOf(name: string, known: readonly string[], most: number): string | undefined {
  const edits = known.map((each) => editsBetween(name, each))
  const fewest = Math.min(...edits)
  return fewest <= most ? known[edits.indexOf(fewest)] : undefined
}

const MAX_EDITS_OF_SOURCE = 2

/** The warning for a name that begins with `SOURCE_`; undefined if it does not look like a setting of a source. */
function unreadOfSource(
  variable: string,
  settings: ReadonlySet<string>,
  sources: readonly SourceConfig[],
): string | undefined {
  if (OF_A_SERVICE.test(variable)) return undefined
  const known = [...settings].filter((each) => each.startsWith('SOURCE_')).flatMap((each) => [each, `${each}_FILE`])
  const nearest = meant(nearestOf(variable, known, MAX_EDITS_OF_SOURCE))
  const own = sources.find((source) => variable.startsWith(`${source.variable}_`))
  if (own !== undefined) return `${variable} is not a setting of source ${own.name}${nearest}`
  const isForm = sources.some((source) =>
    known.some((each) => {
      const end = each.slice(source.variable.length)
      return (
        each.startsWith(`${source.variable}_`) && variable.endsWith(end) && variable.length > `SOURCE_${end}`.length
      )
    }),
  )
  const names = sources.map(({ name }) => name).join(', ')
  if (isForm) return `${variable} is a setting of no source: SOURCES names ${names}${nearest}`
  return nearest === '' ? undefined : `${variable} is not a setting${nearest}`
}
