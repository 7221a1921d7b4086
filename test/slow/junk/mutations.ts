import fc from 'fast-check'

/** A change to a request's bytes. Places are parts of its length, so that a mutation fits any request. */
type Mutation = (bytes: Buffer) => Buffer

const TOKENS = [
  '\r\n',
  '\r\n\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  ':',
  ',',
  '%',
  '\xff',
  '0',
  '-1',
  '99999999999999999999',
  'chunked',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 5\r\n',
  'Host: b\r\n',
  'Expect: x\r\n',
  'Connection: keep-alive\r\n',
  'Content-Encoding: gzip\r\n',
  'Content-Type: text/plain\r\n',
  'Upgrade: h2c\r\n',
  '__proto__: x\r\n',
  'webhook-signature: ',
  'v1,',
  'HTTP/1.0',
  'GET / HTTP/1.1\r\n\r\n',
  '0\r\n\r\n',
  '/../',
  '?',
  '#',
  '{',
  '[',
  '"',
  '\\u0000',
]

const place = fc.double({ min: 0, max: 1, noNaN: true })
const at = (bytes: Buffer, part: number): number => Math.floor(part * bytes.length)
const between = (bytes: Buffer, one: number, other: number): [number, number] =>
  [at(bytes, one), at(bytes, other)].toSorted((a, b) => a - b) as [number, number]
const insert = (bytes: Buffer, where: number, what: Uint8Array): Buffer =>
  Buffer.concat([bytes.subarray(0, where), what, bytes.subarray(where)])

const replaceByte = fc.tuple(place, fc.nat(255)).map(
  ([where, value]): Mutation =>
    (bytes) => {
      const changed = Buffer.from(bytes)
      if (changed.length > 0) changed[Math.min(at(bytes, where), changed.length - 1)] = value
      return changed
    },
)
const insertBytes = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 20 })).map(
  ([where, what]): Mutation =>
    (bytes) =>
      insert(bytes, at(bytes, where), what),
)
const insertToken = fc.tuple(place, fc.constantFrom(...TOKENS)).map(
  ([where, token]): Mutation =>
    (bytes) =>
      insert(bytes, at(bytes, where), Buffer.from(token, 'latin1')),
)
const remove = fc.tuple(place, place).map(
  ([one, other]): Mutation =>
    (bytes) => {
      const [from, to] = between(bytes, one, other)
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(Math.min(to, from + 40))])
    },
)
const repeat = fc.tuple(place, place, fc.integer({ min: 1, max: 50 })).map(
  ([one, other, times]): Mutation =>
    (bytes) => {
      const [from, to] = between(bytes, one, other)
      return insert(bytes, to, Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, to))))
    },
)
const cutOff = place.map(
  (where): Mutation =>
    (bytes) =>
      bytes.subarray(0, at(bytes, where)),
)
const swapLines = fc.tuple(fc.nat(8), fc.nat(8)).map(
  ([one, other]): Mutation =>
    (bytes) => {
      const lines = bytes.toString('latin1').split('\r\n')
      const [a, b] = [lines[one], lines[other]]
      if (a === undefined || b === undefined) return bytes
      lines[one] = b
      lines[other] = a
      return Buffer.from(lines.join('\r\n'), 'latin1')
    },
)
const recaseLine = fc.nat(8).map(
  (which): Mutation =>
    (bytes) => {
      const lines = bytes.toString('latin1').split('\r\n')
      return Buffer.from(lines.map((each, n) => (n === which ? each.toUpperCase() : each)).join('\r\n'), 'latin1')
    },
)

const mutation = fc.oneof(
  replaceByte,
  insertBytes,
  insertToken,
  insertToken,
  remove,
  repeat,
  cutOff,
  swapLines,
  recaseLine,
)

/** One to three changes, one upon the other. */
export const mutations: fc.Arbitrary<Mutation> = fc
  .array(mutation, { minLength: 1, maxLength: 3 })
  .map((all) => (bytes) => all.reduce((changed, mutate) => mutate(changed), bytes))

const member = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.jsonValue(),
  fc.constantFrom('junk.fuzz', 'evt_fuzz'),
)
const event = fc
  .record(
    {
      id: member,
      type: fc.oneof(fc.constant('junk.fuzz'), member),
      created_at: member,
      data: fc.jsonValue(),
      api_version: member,
    },
    { requiredKeys: [] },
  )
  .map((value) => Buffer.from(JSON.stringify(value)))

/** Bodies from noise to almost an event. */
export const junkBodies: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 4_000 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  event,
  fc.tuple(event, mutations).map(([body, mutate]) => mutate(body)),
)
