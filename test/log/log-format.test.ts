import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { ofPipe, ofTerminal, serveOne, start } from './shown-log.ts'

describe('the log', () => {
  test('with LOG_FORMAT=pretty is text without colours in a pipe, of handlers too, without secrets and down to its last line', async () => {
    const run = start({ LOG_FORMAT: 'pretty' }, ofPipe)
    const output = await serveOne(run)
    expect(output).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}INFO: holdfast is serving {2}public=http/m)
    expect(output).toMatch(
      / {2}INFO: seen {2}secret=\[redacted\] {2}note="two words" {2}handler=own:acme\.thing {2}source=ai {2}uid=\S+$/m,
    )
    expect(output).toMatch(/ {2}INFO: said {2}handler=own:acme\.thing/)
    expect(output).toMatch(/ERROR: failed .*\n {4}Error: no luck\n {8}at .*handlers\/own\.js:4:17\)$/m)
    run.child.kill('SIGTERM')
    await once(run.child, 'close')
    expect(run.output()).toMatch(/INFO: stopped\n$/)
    expect(run.output()).not.toContain('\u001b')
  })

  test('without settings is coloured text on a terminal', async () => {
    const text = await serveOne(start({}, ofTerminal))
    expect(text).toContain('\u001b[32mINFO\u001b[39m')
    expect(text).toContain('\u001b[31mERROR\u001b[39m')
    expect(text).toMatch(/seen.*\[redacted\]/)
    expect(text).not.toContain(AI_SECRET)
  })
})
