import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../../src/http/console')
const files = globSync('**/*.ts', { cwd: ROOT }).map((name) => ({
  name,
  text: codeOf(readFileSync(join(ROOT, name), 'utf8')),
}))

/** Without comments. */
function codeOf(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')
}

/** What no template may have, since the policy of the pages forbids it, or text from outside could use it. */
const FORBIDDEN = {
  'a script in an attribute': /(?<![\w-])on[a-z]+="/,
  'a script of htmx': /hx-on[:-]|hx-vals|hx-headers|hx-vars|["'`]js:/,
  'a filter of a trigger, which is a script': /hx-trigger="[^"]*\[/,
  'a change by a script: forms make changes': /hx-(?:post|put|patch|delete)/,
  'a style in an attribute': /(?<![\w-])style="/,
  'a style in the page': /<style/,
  'a script in the page': /<script(?! src="\$\{own\(assetUrl\('[\w.-]+'\)\)\}" defer><\/script>)/,
  'a URL that is a script': /javascript:/,
  'an attribute without double quotes': /<[a-z]+(?:[^<>`]|=>)*\s[\w:-]+='?\$\{/,
  'a part of a tag or of its name': /<\/?\$\{/,
  'text of others in what htmx obeys': /hx-[a-z:-]+="[^"]*\$\{(?!own\()/,
  'a page of another site in a frame': /<(?:iframe|object|embed|base)/,
}

test.each(Object.entries(FORBIDDEN))('the templates of the console do not have %s', (_, pattern) => {
  expect(files.length).toBeGreaterThan(20)
  expect(files.filter(({ text }) => pattern.test(text)).map(({ name }) => name)).toEqual([])
})

test('only one file of the console makes markup of text', () => {
  const makers = files.filter(({ text }) => /escape-html-template-tag|HtmlSafeString|(?<![\w.])safe\(/.test(text))
  expect(makers.map(({ name }) => name)).toEqual(['html/html.ts'])
})

test.each(['console.js', 'live.js'])('the script %s of the console makes no markup of text, and runs none', (name) => {
  const script = codeOf(readFileSync(join(ROOT, 'assets', name), 'utf8'))
  expect(script).not.toMatch(
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment|setHTMLUnsafe/,
  )
})
