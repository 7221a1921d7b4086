import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

/** What users' modules may import from Holdfast → the file of this, the running Holdfast. */
const OWN_FILES: ReadonlyMap<string, string> = new Map([
  ['holdfast', new URL('../index.ts', import.meta.url).href],
  ['holdfast/testing', new URL('../testing.ts', import.meta.url).href],
])

/** A statement that only an ES module can have. */
const MODULE_STATEMENT = /^\s*(?:import(?:\s+[\w$]|\s*[*{'"])|export(?:\s+\w|\s*[*{]))/m
/** What may contain such a statement as a mere text: comments and strings. */
const TEXT = /\/\*[^]*?\*\/|\/\/.*|`(?:\\[^]|[^`\\])*`|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g

let areRegistered = false

/**
 * From now on in this thread:
 * - `import … from 'holdfast'` gives the running Holdfast, whatever `package.json` and `node_modules` are beside the module;
 * - a file outside of `node_modules` that has `import` or `export` statements is an ES module, also where the nearest `package.json`
 *   has another `type` or none.
 * Call this before users' modules are imported, and only in a thread that runs them: it makes each import a little slower.
 */
export function registerModuleHooks(): void {
  if (areRegistered) return
  areRegistered = true
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const url = OWN_FILES.get(specifier)
      return url === undefined ? nextResolve(specifier, context) : { url, shortCircuit: true }
    },
    load(url, context, nextLoad) {
      const format = moduleFormat(url, context.format)
      return nextLoad(url, format === undefined ? context : { ...context, format })
    },
  })
}

/** The format in place of the one that Node has found; undefined to keep that. */
function moduleFormat(url: string, format: string | null | undefined): string | undefined {
  const isDoubtful =
    format === 'commonjs' || format === 'commonjs-typescript' || format === null || format === undefined
  if (!isDoubtful || !/^file:.*\.[jt]s(?:\?|$)/.test(url) || url.includes('/node_modules/')) return undefined
  const source = readFileSync(fileURLToPath(url), 'utf8')
  if (!MODULE_STATEMENT.test(source) || !MODULE_STATEMENT.test(withoutTexts(source))) return undefined
  return /\.ts(?:\?|$)/.test(url) ? 'module-typescript' : 'module'
}

const withoutTexts = (source: string): string =>
  source.replace(TEXT, ([first = '']) => (first === '/' ? ' ' : first + first))
