import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EVENT_STATUSES } from '../../src/domain/event.ts'
import { type Shell, shellFor } from './completion-shell.ts'
import { run } from './run.ts'
import { startLocal } from './service.ts'

describe('in bash', () => {
  let shell: Shell

  beforeAll(async () => {
    shell = await shellFor('bash', afterAll)
  })

  /** What bash offers for the word under the cursor, at the end of the line. */
  const offered = (line: string): readonly string[] =>
    shell
      .run(
        'bash',
        '--norc',
        '-c',
        `source "$1"; COMP_LINE=$2 COMP_POINT=\${#2}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        shell.completions,
        line,
      )
      .split('\n')
      .filter((word) => word !== '')

  test.each([
    ['holdfast sta', ['status']],
    ['holdfast eve', ['events']],
    ['holdfast events sh', ['show']],
    ['holdfast sources ', ['pause', 'resume']],
    ['holdfast sources --js', ['--json']],
    ['holdfast sources pause ', ['ai', 'stripe']],
    ['holdfast handlers resume l', ['log']],
    ['holdfast events list --sta', ['--status']],
    ['holdfast events list --status ', [...EVENT_STATUSES]],
    ['holdfast events list --status=un', ['unhandled']],
    ['holdfast events list --status accepted --or', ['--origin']],
    ['holdfast events list --source s', ['stripe']],
    ['holdfast tasks wait ', ['ai', 'stripe']],
    // bash takes a colon for the end of a word.
    ['holdfast events replay x --handler billing:i', ['invoice.paid']],
    ['holdfast completion ', ['bash', 'zsh', 'fish']],
    ['holdfast events list --limit ', []],
    ['holdfast send ai x --data completion.b', ['completion.bash']],
    ['holdfast bogus ', []],
  ])('the line %j is completed by %j', (line, words) => {
    expect(offered(line)).toEqual(words)
  })

  test('a name that looks like a command is offered quoted, and not run', () => {
    expect(offered('holdfast events replay x --handler $')).toEqual(['\\$\\(touch\\ expanded\\)'])
    expect(shell.hasExpanded()).toBe(false)
  })
})

test('completion names lists the names that the running service has, and nothing where none answers', async () => {
  const service = await startLocal()
  expect(await run(['completion', 'names', 'source'], service.environment)).toEqual(
    expect.objectContaining({ code: 0, out: 'ai\n', err: '' }),
  )
  expect(await run(['completion', 'names', 'source'], { OPS_PORT: '9' })).toMatchObject({ code: 0, out: '', err: '' })
})

test('completion of an unknown shell is not understood', async () => {
  const { code, err } = await run(['completion', 'tcsh'])
  expect(code).toBe(2)
  expect(err).toContain('the shell is one of bash, zsh, fish')
})
