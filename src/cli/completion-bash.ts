import type { CommandCompletions, Completions, FlagCompletions } from './completion.ts'

/** Words of our own only: none has a character that the shell would take otherwise. */
const list = (words: readonly string[]): string => words.join(' ')

/** The script for bash 3.2 and newer. It is static, except for names, which it asks the service for. */
export const bashScript = ({ first, groups, commands }: Completions): string => `# holdfast completion for bash:
#   source <(holdfast completion bash)
# Names may hold anything: nothing of them is expanded.
_holdfast_names() {
  local name
  while IFS= read -r name; do
    [[ -n $name && $name == "$2"* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <(holdfast completion names "$1" 2>/dev/null)
}
_holdfast() {
  local line=\${COMP_LINE:0:COMP_POINT} words cur prev command candidates=
  read -ra words <<< "$line"
  cur=\${line##*[[:space:]]}
  [[ -z $cur ]] && words+=('')
  local at=$((\${#words[@]} - 1))
  prev=\${words[at - 1]}
  # An option may have its value behind "=".
  if [[ $cur == --*=* ]]; then prev=\${cur%%=*}; cur=\${cur#*=}; fi
  COMPREPLY=()

  command=\${words[1]}
  case "$command" in
    ${[...groups.keys()].join('|')}) [[ \${words[2]} == -* ]] || command="$command \${words[2]}" ;;
  esac
  if ((at == 1)); then
    candidates='${list(first.map(({ word }) => word))}'
  elif ((at == 2)) && [[ $cur != -* ]]; then
    case "\${words[1]}" in
${[...groups].map(([word, seconds]) => `      ${word}) candidates='${list(seconds.map((each) => each.word))}' ;;`).join('\n')}
    esac
  fi
  if [[ -z $candidates ]]; then
    case "$command" in
${commands.map(commandCase).join('\n')}
    esac
  fi
  [[ -n $candidates ]] && COMPREPLY=($(compgen -W "$candidates" -- "$cur"))
  # bash takes a colon for the end of a word, so what stands before it must not come again.
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local before=\${cur%"\${cur##*:}"}
    COMPREPLY=("\${COMPREPLY[@]#"$before"}")
  fi
}
complete -F _holdfast holdfast
`

function commandCase({ name, flags, operand }: CommandCompletions): string {
  const values = flags.flatMap(valueCase)
  const words = list(flags.map(({ word }) => word))
  return [
    `      '${name}')`,
    '        case "$prev" in',
    ...values.map((line) => `          ${line}`),
    `          *) if [[ $cur == -* ]]; then candidates='${words}'; ${operand === undefined ? '' : `else ${wordsFrom(operand)}; `}fi ;;`,
    '        esac ;;',
  ].join('\n')
}

function valueCase({ word, value }: FlagCompletions): readonly string[] {
  if (value === undefined) return []
  if (value === 'file') return [`${word}) COMPREPLY=($(compgen -f -- "$cur")); return ;;`]
  return [`${word}) ${value === 'text' ? 'return' : wordsFrom(value)} ;;`]
}

const wordsFrom = (source: string | readonly string[]): string =>
  typeof source === 'string' ? `_holdfast_names ${source} "$cur"` : `candidates='${list(source)}'`
