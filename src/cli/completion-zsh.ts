import type { CommandCompletions, Completions, FlagCompletions, Word } from './completion.ts'

/** In single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
/** For `_describe`: a colon ends the word. */
const described = ({ word, help }: Word): string => quoted(`${word.replaceAll(':', '\\:')}:${help}`)

/** The script for zsh. It is static, except for names, which it asks the service for. */
export const zshScript = ({ first, groups, commands }: Completions): string => `#compdef holdfast
# holdfast completion for zsh:
#   source <(holdfast completion zsh)
_holdfast_names() {
  local -a names
  names=(\${(f)"$(holdfast completion names $1 2>/dev/null)"})
  compadd -a names
}
_holdfast() {
  local name=$words[2] prev=$words[CURRENT-1]
  local -a candidates
  if (( CURRENT == 2 )); then
    candidates=(${first.map(described).join(' ')})
    _describe command candidates
    return
  fi
  case $words[2] in
${[...groups].map(([word, seconds]) => groupCase(word, seconds)).join('\n')}
  esac
  # An option may have its value behind "=".
  if [[ -prefix --*= ]]; then prev=\${PREFIX%%=*}; compset -P 1 '*='; fi
  case $name in
${commands.map(commandCase).join('\n')}
  esac
}
if [[ $funcstack[1] == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`

const groupCase = (word: string, seconds: readonly Word[]): string => `    ${word})
      if (( CURRENT == 3 )) && ! [[ -prefix - ]]; then
        candidates=(${seconds.map(described).join(' ')})
        _describe command candidates
        return
      fi
      [[ $words[3] == -* ]] || name="$words[2] $words[3]" ;;`

const commandCase = ({ name, flags, operand }: CommandCompletions): string => `    ${quoted(name)})
      case $prev in
${flags.flatMap(valueCase).join('\n')}
        *)
          if [[ -prefix - ]]; then
            candidates=(${flags.map(described).join(' ')})
            _describe option candidates
          ${operand === undefined ? '' : `else ${wordsFrom(operand)}\n          `}fi ;;
      esac ;;`

function valueCase({ word, value }: FlagCompletions): readonly string[] {
  if (value === undefined) return []
  if (value === 'file') return [`        ${word}) _files ;;`]
  return [`        ${word}) ${value === 'text' ? ':' : wordsFrom(value)} ;;`]
}

const wordsFrom = (source: string | readonly string[]): string =>
  typeof source === 'string' ? `_holdfast_names ${source}` : `compadd -- ${source.map(quoted).join(' ')}`
