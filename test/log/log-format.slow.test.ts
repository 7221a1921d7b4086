import { describe, expect, test } from 'vitest'
import { ofPipe, ofTerminal, serveOne, start } from './shown-log.ts'

describe('the log', () => {
  test('without settings is JSON in a pipe', async () => {
    const json = await serveOne(start({}, ofPipe))
    for (const line of json.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
  })

  test('on a terminal has no colours with NO_COLOR, and is JSON with LOG_FORMAT=json', async () => {
    const plain = await serveOne(start({ NO_COLOR: '1' }, ofTerminal))
    expect(plain).toMatch(/ {2}INFO: seen/)
    expect(plain).not.toContain('\u001b')
    const json = await serveOne(start({ LOG_FORMAT: 'json' }, ofTerminal))
    expect(
      json
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).msg),
    ).toContain('seen')
  })
})
