import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyScheme, Provider } from '../../src/domain/provider.ts'
import { providerFaults } from '../../src/providers/check-provider.ts'
import { sampleRequest } from '../../src/providers/samples.ts'
import { compileVerifier, keyOf, schemes, secretFault, signRequest } from '../../src/signatures/registry.ts'
import type { SignatureScheme } from '../../src/signatures/signature-scheme.ts'
import { propertyParameters } from '../support/property.ts'

const NOW_MS = 1_700_000_000_000
const URL = 'https://hooks.example.com/v1/webhooks/x'

/** What the contract needs to know about one scheme. */
interface Examples<Settings extends AnyScheme> {
  /** Settings of every form that the scheme has. */
  readonly settings: readonly Settings[]
  readonly secret: string
  readonly otherSecret: string
  /** Settings and a secret that does not have their form. */
  readonly malformedSecrets?: readonly (readonly [Settings, string])[]
}

/** What holds for every signature scheme. The test of each scheme runs it. */
export function testScheme<Settings extends AnyScheme>(
  scheme: SignatureScheme<Settings>,
  { settings: examples, secret, otherSecret, malformedSecrets = [] }: Examples<Settings>,
): void {
  describe(`the signature scheme ${scheme.name}`, () => {
    test('is registered, once, by the name that its schema demands', () => {
      expect(schemes.filter(({ name }) => name === scheme.name)).toEqual([scheme])
      expect(scheme.schema.properties.scheme).toMatchObject({ const: scheme.name })
    })

    test.each(malformedSecrets)('names the fault of a malformed secret, and does not repeat it: %j', (verify, bad) => {
      const fault = secretFault(providerOf(verify), bad)
      expect(fault).toMatch(`a secret is not ${scheme.secretForm(verify)}`)
      expect(fault).not.toContain(bad)
      const request = sent(providerOf(verify), secret)
      expect(compileVerifier(verify, [bad], URL).verify(request, NOW_MS)).toMatchObject({ reason: 'mismatch' })
      expect(() => signRequest(verify, bad, { id: 'a', body: Buffer.alloc(0), nowMs: 0 })).toThrow(TypeError)
    })

    describe.each(examples)('with the settings %j', (verify) => {
      const provider = providerOf(verify)
      const verdictOn = (request: Sent, secrets: readonly string[] = [secret], url = URL): string => {
        const result = compileVerifier(verify, secrets, url).verify(request, NOW_MS)
        return result.ok ? 'ok' : result.reason
      }

      test('is sound in a provider module, and refused with a setting too many', () => {
        expect(providerFaults(provider)).toEqual([])
        expect(providerFaults({ ...provider, verify: { ...verify, nonsense: 1 } })).toEqual([
          '/verify must NOT have additional properties: "nonsense"',
        ])
      })

      test('tells the place of the secret that verified', () => {
        const placeOf = (secrets: readonly string[]) => {
          const result = compileVerifier(verify, secrets, URL).verify(sent(provider, secret), NOW_MS)
          return result.ok ? result.secret : undefined
        }
        expect(placeOf([secret, otherSecret])).toBe(1)
        expect(placeOf([otherSecret, secret])).toBe(2)
        expect(placeOf([secret, otherSecret, secret])).toBe(1)
      })

      test('verifies what it signs, before the body is read and after', () => {
        const request = sent(provider, secret)
        expect(verdictOn(request)).toBe('ok')
        expect(compileVerifier(verify, [secret], URL).precheck(request)?.ok).not.toBe(false)
      })

      test('verifies by any of several secrets, and by none when there is none', () => {
        for (const each of [secret, otherSecret])
          expect(verdictOn(sent(provider, each), [otherSecret, secret])).toBe('ok')
        expect(verdictOn(sent(provider, otherSecret))).toBe('mismatch')
        expect(verdictOn(sent(provider, secret), [])).toBe('mismatch')
      })

      test('refuses a request without any one of the headers that it signs with, or without its query', () => {
        const request = sent(provider, secret)
        const signature = signRequest(verify, secret, { id: 'evt_1', ...request, nowMs: NOW_MS })
        for (const name of Object.keys(signature.headers)) {
          const { [name]: _removed, ...headers } = request.headers
          expect(verdictOn({ ...request, headers }), name).toBe('missing')
        }
        if (signature.query !== '') expect(verdictOn({ ...request, query: '' })).toBe('missing')
      })

      test('needs the URL exactly if it says so', () => {
        const other = verdictOn(sent(provider, secret), [secret], `${URL}/other`)
        expect(other).toBe(scheme.signsUrl(verify) ? 'mismatch' : 'ok')
      })

      test('names every header that shows the secret', () => {
        const { headers } = sent(provider, secret)
        const names = Object.entries(headers).flatMap(([name, value]) => (shows(value, secret) ? [name] : []))
        expect(scheme.secretHeaders(verify).toSorted()).toEqual(names.toSorted())
      })

      test('tells one key from another, and how short a key may be', () => {
        expect(keyOf(verify, secret)).toEqual(keyOf(verify, secret))
        expect(keyOf(verify, secret)).not.toEqual(keyOf(verify, otherSecret))
        expect(secretFault(provider, secret)).toBeUndefined()
        expect(secretFault({ ...provider, minKeyBytes: 1_000 }, secret)).toMatch(/needs 1000 bytes or more/)
      })

      test('never throws, and verifies nothing that it did not sign', () => {
        const names = Object.keys(sent(provider, secret).headers)
        const headers = fc.dictionary(fc.constantFrom(...names, 'authorization'), fc.string())
        fc.assert(
          fc.property(headers, fc.string(), fc.uint8Array(), (given, query, bytes) => {
            const request = { headers: given, query, body: Buffer.from(bytes) }
            expect(verdictOn(request)).not.toBe('ok')
            compileVerifier(verify, [secret], URL).precheck(request)
          }),
          propertyParameters(),
        )
      })
    })
  })
}

interface Sent {
  readonly headers: Readonly<Record<string, string>>
  readonly query: string
  readonly body: Buffer
}

const providerOf = (verify: AnyScheme): Provider => ({
  name: 'example',
  verify,
  event: { id: 'body:id', type: 'body:type' },
})

/** A sample event of the provider, signed. */
function sent(provider: Provider, secret: string): Sent {
  const request = sampleRequest(provider, { id: 'evt_1', type: 'thing.made', nowMs: NOW_MS }, secret, undefined)
  const signature = signRequest(provider.verify, secret, { id: 'evt_1', ...request, url: URL, nowMs: NOW_MS })
  return { ...request, query: signature.query, headers: { ...request.headers, ...signature.headers } }
}

/** Whether a text holds the secret, as it is or in base64. */
const shows = (text: string, secret: string): boolean =>
  text.split(' ').some((part) => part.includes(secret) || Buffer.from(part, 'base64').toString().includes(secret))
