import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { parseEnv } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { commandOf, commands, unknownOptions } from './command-lines.ts'
import { type Block, checkout, pageNamed, pages, type Reference } from './pages.ts'

const at = ({ page, line }: { readonly page: string; readonly line: number }, what: string): string =>
  `${page}:${line}: ${what}`

describe('a link between documents', () => {
  function faultOf({ page, text }: Reference): string | undefined {
    if (/^[a-z]+:/.test(text)) return undefined
    const [path = '', anchor] = text.split('#')
    const target = path === '' ? page : normalize(join(dirname(page), path))
    if (!existsSync(join(checkout, target))) return `there is no ${target}`
    if (anchor === undefined) return undefined
    return pageNamed(target).anchors.has(anchor) ? undefined : `${target} has no heading #${anchor}`
  }

  test('leads to a file and a heading that exist', () => {
    const links = pages.flatMap((page) => page.links)
    expect(links.length).toBeGreaterThan(80)
    const faults = links.map((link) => [link, faultOf(link)] as const).filter(([, fault]) => fault !== undefined)
    expect(faults.map(([link, fault]) => at(link, `${link.text}: ${fault}`))).toEqual([])
  })

  test('leads to every page of docs from README.md and from docs/README.md', () => {
    const names = pages.map(({ name }) => name).filter((name) => name.startsWith('docs/') && name !== 'docs/README.md')
    const linked = (page: string): string[] =>
      pageNamed(page).links.map(({ text }) => normalize(join(dirname(page), text.split('#')[0] ?? '')))
    expect(linked('README.md')).toEqual(expect.arrayContaining(names))
    expect(linked('docs/README.md')).toEqual(expect.arrayContaining(names))
  })
})

describe('README.md', () => {
  test('is under 200 lines', () => {
    expect(pageNamed('README.md').text.split('\n').length).toBeLessThan(200)
  })

  test('names each folder of src', () => {
    const folders = readdirSync(join(checkout, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const linked = pageNamed('README.md').links.flatMap(
      ({ text }) => /^src\/(?<name>\w+)$/.exec(text)?.groups?.name ?? [],
    )
    expect(linked.toSorted()).toEqual(folders.map(({ name }) => name).toSorted())
  })
})

describe('a setting', () => {
  /** Variables of Node and other programs, of tests and benchmarks, and words that only look like variables. */
  const others = new Set(
    'ADMIN_URL BENCH_BASE BENCH_EVENTS BENCH_SECONDS CHROMIUM EVENT_TYPES EX_CONFIG EX_NOPERM EX_UNAVAILABLE FORCE_COLOR NO_COLOR OLDEST_COMPATIBLE PICTURES POSTGRES_PASSWORD PROPERTY_SEED SCREENSHOTS TEST_DATABASE_URL'.split(
      ' ',
    ),
  )
  const VARIABLE =
    /(?<![\w/-])(?:[A-Z][A-Z0-9]*(?:_(?:<[A-Z]+>|[A-Z0-9]+))+|[A-Z]+(?==)|(?:HOST|PORT|ROLE|SOURCES)(?![\w-]))/g

  const read = new Set<string>()
  const environment = { SOURCES: 'ai' }
  readConfig(
    new Proxy<Record<string, string>>(environment, {
      get: (target, name) => {
        read.add(String(name))
        return target[String(name)]
      },
    }),
  )
  /** Those that the service reads, as source `ai` has them. */
  const known = new Set([...read].filter((name) => !name.endsWith('_FILE') && !others.has(name)))

  const named = (text: string): string[] =>
    (text.match(VARIABLE) ?? []).map((name) => name.replace(/^SOURCE_(?:<NAME>|[A-Z]+)_/, 'SOURCE_AI_'))

  /** In inline code, and in blocks that set variables. */
  const inPages = pages
    .filter(({ name }) => name !== 'CHANGELOG.md')
    .flatMap(({ spans, blocks }) => [
      ...spans,
      ...blocks.filter(({ language }) => language === 'sh' || language === 'ini'),
    ])

  test('that a document names is one that the service reads', () => {
    const isKnown = (name: string): boolean =>
      known.has(name) || known.has(name.replace(/_FILE$/, '')) || others.has(name) || name === 'X_FILE'
    const faults = inPages.flatMap((place) =>
      named(place.text)
        .filter((name) => !isKnown(name))
        .map((name) => at(place, `no setting ${name}`)),
    )
    expect(faults).toEqual([])
  })

  test('that the service reads is described in docs/configuration.md', () => {
    const listed = new Set(pageNamed('docs/configuration.md').spans.flatMap(({ text }) => named(text)))
    expect([...known].filter((name) => !listed.has(name))).toEqual([])
  })

  test('is in .env.example if the service reads it, and only then', () => {
    const lines = readFileSync(join(checkout, '.env.example'), 'utf8').split('\n')
    const listed = new Set(lines.flatMap((line) => /^#(?<name>[A-Z_]+)=/.exec(line)?.groups?.name ?? []))
    expect([...listed].toSorted()).toEqual([...known].toSorted())
  })

  const settings = pages.flatMap(({ blocks }) => blocks).filter(({ language }) => language === 'ini')

  test.each(settings.map((block) => [at(block, 'settings'), block] as const))(
    'in %s has a sound value',
    (_at, block) => {
      expect(readConfig(parseEnv(block.text)).faults).toEqual([])
    },
  )
})

describe('the command holdfast', () => {
  const spans = pages.flatMap((page) => page.spans)

  /** Words after `holdfast` in inline code; the command itself may be meant (`holdfast`, `holdfast …`). */
  const wordsOf = (text: string): string | undefined =>
    /^(?:npx )?holdfast (?<words>[a-z].*)$/.exec(text)?.groups?.words

  test('is named with commands that exist, and with their options', () => {
    const faults = spans.flatMap((span) => {
      const words = wordsOf(span.text)
      if (words === undefined || words.startsWith('help')) return []
      const name = commandOf(words)
      if (name === undefined) return /^[a-z]+ …$/.test(words) ? [] : [at(span, `no command ${words}`)]
      const line = pageNamed(span.page).text.split('\n')[span.line - 1] ?? ''
      const names = [...line.matchAll(/`((?:npx )?holdfast [^`]+)`/g)].map(
        ([, each]) => commandOf(wordsOf(each ?? '') ?? '') ?? '',
      )
      const code = [...line.matchAll(/`([^`]+)`/g)].map(([, each]) => each).join(' ')
      return unknownOptions([...names, '--version'], code.replace('--version', '')).map((option) =>
        at(span, `${names.join(', ')}: no option ${option}`),
      )
    })
    expect(faults).toEqual([])
  })

  test('is described with every subcommand in docs/operating.md', () => {
    const named = new Set(pageNamed('docs/operating.md').spans.map(({ text }) => commandOf(wordsOf(text) ?? '')))
    expect([...commands].filter((name) => !named.has(name) && name !== 'help')).toEqual([])
  })
})

describe('a block of commands that no test runs', () => {
  const REASONS = new Set([
    'installs packages',
    'serves until it is stopped',
    'runs until it is stopped',
    'runs all tests',
    'takes minutes',
    'has a test of its own',
    'needs Docker',
    'repairs a damaged database',
  ])
  const notRun = pages.flatMap(({ blocks }) => blocks).filter((block) => block.notRun !== undefined)
  const scriptsIn = (manifest: string) =>
    (JSON.parse(readFileSync(join(checkout, manifest), 'utf8')) as { scripts: Record<string, string> }).scripts
  const scripts = scriptsIn('package.json')
  const scriptsOfProjects = scriptsIn('templates/project/package.json')
  const services = new Set(
    readFileSync(join(checkout, 'docker-compose.yml'), 'utf8')
      .replace(/^[\s\S]*^services:$/m, '')
      .match(/^ {2}[a-z]+(?=:$)/gm)
      ?.map((line) => line.trim()),
  )

  test('gives one of the known reasons', () => {
    const faults = notRun.flatMap((block) =>
      (block.notRun ?? []).filter((reason) => !REASONS.has(reason)).map((reason) => at(block, `the reason ${reason}`)),
    )
    expect(faults).toEqual([])
  })

  function faultOf(command: string): string | undefined {
    const words = command.split(/\s+/)
    const [program, first = '', second = ''] = words
    if (program === 'npm') {
      if (first === 'ci' || first === 'install') return undefined
      const script = first === 'run' ? second : first
      return script in scripts || script in scriptsOfProjects ? undefined : `package.json has no script ${script}`
    }
    if (program === 'cd') return undefined
    if (program === 'npx') return commandOf(words.slice(2).join(' ')) === undefined ? 'no command' : undefined
    if (program === 'docker') {
      const [compose, , service = '--build', ...rest] = words.slice(1).filter((word) => !word.startsWith('-'))
      if (compose !== 'compose') return 'not docker compose'
      if (service !== '--build' && !services.has(service)) return `docker-compose.yml has no service ${service}`
      return rest[0] === 'holdfast' && commandOf(rest.slice(1).join(' ')) === undefined
        ? `no command ${rest.join(' ')}`
        : undefined
    }
    return ['psql', 'sqlite3', 'cp', 'mv', 'mkdir', 'systemctl'].includes(program ?? '')
      ? undefined
      : `a program that the test does not know`
  }

  test('names scripts, services and commands that exist', () => {
    const faults = notRun.flatMap((block) => {
      const parts = block.text.split('\n').flatMap((line) => line.replace(/(?:^|\s)# .*$/, '').split(/&&|\|/))
      return parts
        .map((part) => part.trim())
        .filter((part) => part !== '')
        .flatMap((part) => {
          const fault = faultOf(part)
          return fault === undefined ? [] : [at(block, `${part}: ${fault}`)]
        })
    })
    expect(notRun.length).toBeGreaterThan(5)
    expect(faults).toEqual([])
  })

  test('names npm scripts that exist, and so does inline code', () => {
    const named = pages
      .flatMap(({ spans }) => spans)
      .flatMap((span) => /^npm run (?<script>[\w:]+)/.exec(span.text)?.groups?.script ?? [])
    expect(named.filter((script) => !(script in scripts))).toEqual([])
  })
})

describe('a block in a document', () => {
  const kinds = new Set(['sh', 'ts', 'ini', 'sql', 'promql', 'caddyfile', 'dockerfile', 'mermaid', 'python', 'go'])

  test('has a language that the tests know, and a file name if it is TypeScript', () => {
    const blocks: readonly Block[] = pages.flatMap((page) => page.blocks)
    expect(blocks.filter(({ language }) => !kinds.has(language)).map((block) => at(block, block.language))).toEqual([])
    const ts = blocks.filter(({ language, file }) => language === 'ts' && file === undefined)
    expect(ts.map((block) => at(block, 'TypeScript without the name of its file'))).toEqual([])
  })
})
