import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'

const sound = { SOURCE_AI_SECRET: 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0' }
const [ONE, OTHER, THIRD] = ['c0ffee11d00d5eed', 'b0a1f7c2d93e4856', '5eedc0ffee11d00d']

describe('the configuration', () => {
  test.each([
    ['short', '0a1b2c3d4e5f6a7', 'is shorter than 16 characters'],
    ['repetitive', 'abcabcabcabcabcabcabc', 'has fewer than 6 different characters'],
    ['made of usual words', 'changeme-changeme-2', 'consists of words that are often used for one'],
    ['made of usual words', 'My_Super-Secret_OPS_token', 'consists of words that are often used for one'],
  ])('refuses an ops token that is %s where others can reach the listener, and else warns: %s', (_, token, why) => {
    const far = readConfig({ ...sound, OPS_TOKEN: token, OPS_HOST: '0.0.0.0' })
    expect(far.faults).toEqual([
      `OPS_TOKEN ${why}, and OPS_HOST is 0.0.0.0, which others can reach: make one with openssl rand -hex 32`,
    ])
    const near = readConfig({ ...sound, OPS_TOKEN: token })
    expect(near.faults).toEqual([])
    expect(near.warnings).toEqual([expect.stringContaining(`OPS_TOKEN ${why}`)])
    expect([...far.faults, ...near.warnings].join()).not.toContain(token)
  })

  test('accepts every token that openssl rand makes of 8 bytes or more', () => {
    fc.assert(
      fc.property(fc.constantFrom(8, 16, 32), fc.constantFrom('hex', 'base64'), (bytes, form) => {
        const token = randomBytes(bytes).toString(form)
        fc.pre(token.length >= 16)
        const { faults } = readConfig({ ...sound, OPS_TOKEN: token, OPS_HOST: '0.0.0.0' })
        expect(faults).toEqual([])
      }),
    )
  })

  test('has several tokens of each kind, and host names in lower case', () => {
    const { config, faults, warnings } = readConfig({
      ...sound,
      OPS_TOKEN: `${ONE}, ${OTHER}`,
      OPS_READ_TOKEN: THIRD,
      OPS_ALLOWED_HOSTS: 'Ops.example.com,ops',
    })
    expect([faults, warnings]).toEqual([[], []])
    expect(config).toMatchObject({
      opsTokens: [ONE, OTHER],
      opsReadTokens: [THIRD],
      opsAllowedHosts: ['ops.example.com', 'ops'],
    })
  })

  test('says which of several tokens is weak, and does not show it', () => {
    const { faults } = readConfig({ ...sound, OPS_TOKEN: `${ONE},short`, OPS_HOST: '0.0.0.0' })
    expect(faults).toEqual([expect.stringMatching(/^token 2 of OPS_TOKEN is shorter than 16 characters/)])
  })

  test.each([
    ['an empty token', { OPS_TOKEN: `${ONE},` }, 'OPS_TOKEN holds an empty token'],
    ['a token that reads, and none that changes', { OPS_READ_TOKEN: ONE }, 'OPS_READ_TOKEN needs OPS_TOKEN'],
    [
      'one token that may read and change',
      { OPS_TOKEN: `${ONE},${OTHER}`, OPS_READ_TOKEN: OTHER },
      'OPS_READ_TOKEN and OPS_TOKEN hold the same token',
    ],
    [
      'a host name with a port',
      { OPS_ALLOWED_HOSTS: 'ops.example.com:8081' },
      'OPS_ALLOWED_HOSTS: "ops.example.com:8081"',
    ],
  ])('refuses %s', (_, environment, fault) => {
    expect(readConfig({ ...sound, ...environment }).faults).toEqual([expect.stringContaining(fault)])
  })
})
