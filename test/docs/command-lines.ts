import { run } from '../cli/run.ts'

/** Commands of `holdfast` with the options that their help shows. */
const options = new Map<string, ReadonlySet<string>>()

for (const name of await commandNames()) {
  const { out } = await run(['help', ...name.split(' ')])
  options.set(name, new Set(['--help', ...(out.match(/--[a-z-]+/g) ?? [])]))
}

async function commandNames(): Promise<string[]> {
  const { out } = await run(['help'])
  const lines = out.slice(out.indexOf('Commands:')).split('\n').slice(1)
  return lines.flatMap((line) => /^ {2}(?<name>[a-z]+(?: [a-z]+)?)(?= )/.exec(line)?.groups?.name ?? [])
}

export const commands: ReadonlySet<string> = new Set(options.keys())

/** The command at the start of some words after `holdfast`; undefined if there is none. */
export function commandOf(words: string): string | undefined {
  const [first = '', second = ''] = words.split(/\s+/)
  return [`${first} ${second}`, first].find((name) => options.has(name))
}

/** Options in the text that none of these commands takes. */
export function unknownOptions(names: readonly string[], text: string): string[] {
  const known = new Set(names.flatMap((name) => [...(options.get(name) ?? [])]))
  return (text.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? []).filter((option) => !known.has(option))
}
