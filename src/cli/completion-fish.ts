import type { CommandCompletions, Completions, FlagCompletions } from './completion.ts'

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** The script for fish. It is static, except for names, which it asks the service for. */
export const fishScript = ({ first, groups, commands }: Completions): string =>
  `# holdfast completion for fish:
#   holdfast completion fish | source
function __holdfast_is
    set -l words (commandline -opc)
    test (count $words) -gt (count $argv); or return 1
    for at in (seq (count $argv))
        test $words[(math $at + 1)] = $argv[$at]; or return 1
    end
end
function __holdfast_at
    set -l words (commandline -opc)
    test (count $words) -eq (math (count $argv) + 1); and __holdfast_is $argv
end
complete -c holdfast -f
${[
  ...first.map(({ word, help }) => `complete -c holdfast -n __holdfast_at -a ${quoted(word)} -d ${quoted(help)}`),
  ...[...groups].flatMap(([group, seconds]) =>
    seconds.map(
      ({ word, help }) => `complete -c holdfast -n '__holdfast_at ${group}' -a ${quoted(word)} -d ${quoted(help)}`,
    ),
  ),
  ...commands.flatMap(ofCommand),
].join('\n')}
`

const ofCommand = ({ name, flags, operand }: CommandCompletions): readonly string[] => [
  ...(operand === undefined ? [] : [`complete -c holdfast -n '__holdfast_at ${name}' -a ${wordsFrom(operand)}`]),
  ...flags.map(
    (flag) =>
      `complete -c holdfast -n '__holdfast_is ${name}' -l ${flag.word.slice(2)}${valueOf(flag)} -d ${quoted(flag.help)}`,
  ),
]

function valueOf({ value }: FlagCompletions): string {
  if (value === undefined) return ''
  if (value === 'file') return ' -r -F'
  return value === 'text' ? ' -x' : ` -x -a ${wordsFrom(value)}`
}

const wordsFrom = (source: string | readonly string[]): string =>
  typeof source === 'string' ? `'(holdfast completion names ${source} 2>/dev/null)'` : quoted(source.join(' '))
