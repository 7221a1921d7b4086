import { expect, test } from 'vitest'
import { shellFor } from './completion-shell.ts'

// Both shells must be installed, as .ci/run does: without them these tests fail.

test.each([
  ['holdfast sta', ['status']],
  ['holdfast events sh', ['show']],
  ['holdfast events list --status un', ['unhandled']],
  ['holdfast events list --source s', ['stripe']],
  ['holdfast events replay x --handler billing', ['billing:invoice.paid']],
  ['holdfast tasks wait ', ['ai', 'stripe']],
])('fish completes the line %j by %j', async (line, words) => {
  const shell = await shellFor('fish')
  const out = shell.run('fish', '--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', shell.completions, line)
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((each) => each.split('\t')[0]),
  ).toEqual(words)
  expect(shell.hasExpanded()).toBe(false)
})

/** Types a line with a tab into an interactive zsh, and writes what zsh shows. */
const ZPTY = `
zmodload zsh/zpty
zpty z 'zsh -f -i'
zpty -w z 'PS1=; autoload -U compinit; compinit -u -d ./dump; path=($PWD $path); source ./completion.zsh; echo loa""ded'
zpty -r -m z out '*loaded*'
zpty -w -n z "$1"$'\\t\\t'
zpty -r -m z out "*$2*" && print found
`

test.each([
  ['holdfast sta', 'status'],
  ['holdfast events sh', 'show'],
  ['holdfast events list --status ', 'unhandled'],
  ['holdfast events list --status=un', '--status=unhandled'],
  ['holdfast events list --source s', 'stripe'],
  ['holdfast events replay x --handler bill', 'billing:invoice.paid'],
])('zsh completes the line %j by %s', async (line, word) => {
  const shell = await shellFor('zsh')
  expect(shell.run('zsh', '-f', '-c', ZPTY, 'zsh', line, word)).toBe('found\n')
  expect(shell.hasExpanded()).toBe(false)
})
