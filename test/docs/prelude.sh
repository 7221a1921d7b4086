# Sourced by the shell that runs a page's blocks. A command that fails ends the page, and is named with its line.
trap 'echo "$PAGE:$LINENO: exit code $? of: $(sed -n "${LINENO}p" "$0")" >&2' ERR

holdfast() {
  local answer code server
  if [ "$1" = check ]; then
    "$NODE" "$MAIN_FILE" "$@"
    return
  fi
  answer=$ANSWERS/$$-$RANDOM-$RANDOM
  exec {server}<>"/dev/tcp/127.0.0.1/$COMMANDS_PORT"
  printf '%s\0' "$answer" "$#" "$@" >&"$server"
  env -0 >&"$server"
  printf 'END\0' >&"$server"
  read -r code <&"$server"
  exec {server}>&-
  [ ! -s "$answer.err" ] || cat "$answer.err" >&2
  [ ! -s "$answer.out" ] || cat "$answer.out"
  return "$code"
}

npx() {
  shift
  holdfast "$@" || return
}

# An answer that is no 2xx fails the block.
curl() {
  command curl -sS --fail "$@" || return
}

npm() {
  echo 'npm is not run here: mark the block as not run' >&2
  false || return
}
