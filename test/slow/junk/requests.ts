import { type RawRequest, rawRequest } from '../../support/raw-http.ts'

/** A request as bytes, signed or not, and the one status that it gets when it is signed, and when it is not: one of these. */
export type RequestRow = readonly [
  what: string,
  request: (signed: boolean) => Uint8Array,
  status: number,
  unsigned: readonly number[],
]

/** The id of an event inside another request, which must never come to be a request of its own. */
export const SMUGGLED_ID = 'evt_smuggled'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const BODY = bytes('{"id":"evt_junk_request","type":"junk.request","data":{}}')

const row = (
  what: string,
  status: number,
  { signed: over = true, ...request }: RawRequest,
  unsigned: readonly number[] = [status === 200 ? 401 : status],
): RequestRow => [
  what,
  (signed) => rawRequest({ body: BODY, ...request, ...(signed && { signed: over }) }),
  status,
  unsigned,
]

const line = (status: number, ...lines: readonly string[]) => row(lines.join(' + ').slice(0, 60), status, { lines })
/** What is proven is kept under any label. */
const contentType = (value: string, unsigned = 415) =>
  row(`content type ${value.slice(0, 60)}`, 200, { lines: [`Content-Type: ${value}`] }, [unsigned])
const target = (status: number, to: string) => row(`to ${to.slice(0, 60)}`, status, { target: to })
const length = (status: number, value: string) =>
  row(`length "${value}"`, status, { framed: false, lines: [`Content-Length: ${value}`] })

const LAST_CHUNK = '\r\n0\r\n\r\n'
const framed = (head: string, body: Buffer = BODY, tail = LAST_CHUNK): Buffer =>
  Buffer.concat([bytes(head), body, bytes(tail)])
const SIZE = `${BODY.length.toString(16)}`

/** Of an unsigned request the body is not looked at, so that what is wrong with it is found out only if its headers tell. */
const unread = (status: number): readonly number[] => (status === 200 ? [401] : [401, status])

/** `wire` is the body in its chunks; signed is what it should come to. */
const chunks = (
  what: string,
  status: number,
  wire: Buffer,
  lines = ['Transfer-Encoding: chunked'],
  version = 'HTTP/1.1',
) => row(what, status, { framed: false, lines, body: wire, signed: BODY, version }, unread(status))

const coding = (status: number, ...codings: readonly string[]) =>
  chunks(
    `coding ${codings.join(' + ')}`,
    status,
    framed(`${SIZE}\r\n`),
    codings.map((each) => `Transfer-Encoding: ${each}`),
  )
const chunkSize = (status: number, size: string, tail = LAST_CHUNK) =>
  chunks(`chunk size "${size.slice(0, 30)}"`, status, framed(`${size}\r\n`, BODY, tail))

const inner = (): Buffer =>
  rawRequest({ body: bytes(`{"id":"${SMUGGLED_ID}","type":"junk.request","data":{}}`), signed: true })
const smuggling = (what: string, lines: readonly string[], start: string, framedToo = true) =>
  row(
    `smuggling by ${what}`,
    400,
    { lines, body: Buffer.concat([bytes(start), inner()]), framed: framedToo },
    unread(400),
  )

const raw = (what: string, text: string): RequestRow => [what, () => bytes(text), 400, [400]]

export const requests: readonly RequestRow[] = [
  raw('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  raw('HTTP/0.9', 'GET /\r\n\r\n'),
  raw('HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  raw('text', 'what is this\r\n\r\n'),
  raw('head that is cut off', 'POST /v1/webhooks/ai HTTP/1.1\r\nHost: loc'),
  raw('folded first header', 'POST /v1/webhooks/ai HTTP/1.1\r\n Host: a\r\n\r\n'),
  row('HTTP/1.0', 200, { version: 'HTTP/1.0', bare: true }),
  row('HTTP/3.7', 400, { version: 'HTTP/3.7' }),
  row('ICE/1.1', 400, { version: 'ICE/1.1' }),
  row('no Host', 400, { bare: true, lines: ['Connection: close'] }),
  line(400, 'Host: other'),
  ...['BREW', 'post', 'PRI', 'CONNECT', 'P\0ST', ''].map((method) => row(`method "${method}"`, 400, { method })),
  ...['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND', 'M-SEARCH', 'QUERY', 'SOURCE'].map(
    (method) => row(`method ${method}`, 405, { method }),
  ),
  row('CONNECT to a host', 400, { method: 'CONNECT', target: 'example.test:443' }),
  row('OPTIONS *', 404, { method: 'OPTIONS', target: '*' }),

  target(200, 'http://localhost/v1/webhooks/ai'),
  target(200, '/v1/webhooks/%61i'),
  target(200, '/v1/webhooks/ai/?%&__proto__[x]=1&a=%E0%A4'),
  target(200, `/v1/webhooks/ai?${'a'.repeat(8_000)}`),
  target(404, '/v1/webhooks/__proto__'),
  target(404, '/v1/webhooks/constructor'),
  target(404, '/v1/webhooks/ai%00'),
  target(404, '/v1/webhooks%2fai'),
  target(404, '/v1/webhooks/..%2fai'),
  target(404, '/v1/webhooks/../webhooks/ai'),
  target(404, '//v1/webhooks/ai'),
  target(404, 'ftp://localhost/v1/webhooks/ai'),
  target(404, `/v1/webhooks/${'a'.repeat(8_000)}`),
  target(400, 'http://%zz/v1/webhooks/ai'),
  target(400, '/v1/webhooks/%'),
  target(400, '/v1/webhooks/%E0%A4%A'),
  target(400, '/v1/webhooks/\xe9'),
  target(400, '/v1/webhooks/ai x'),
  target(400, '/v1/webhooks/ai\0'),
  target(400, 'v1/webhooks/ai'),
  target(400, ''),
  target(431, `/v1/webhooks/${'a'.repeat(20_000)}`),

  ...[
    `+${BODY.length}`,
    `-${BODY.length}`,
    `0x${SIZE}`,
    `${BODY.length} ${BODY.length}`,
    `${BODY.length}, ${BODY.length}`,
    `${BODY.length}abc`,
    '5.7e1',
    '',
    'a',
    '9'.repeat(30),
  ].map((value) => length(400, value)),
  line(400, `Content-Length: ${BODY.length}`),
  line(400, 'Content-Length: 0'),
  smuggling('length and chunks', ['Transfer-Encoding: chunked'], '0\r\n\r\n'),
  smuggling('two lengths', ['Content-Length: 0'], ''),
  smuggling('an odd coding', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'),
  smuggling('a coding with a space before its colon', ['Transfer-Encoding : chunked'], '0\r\n\r\n'),
  smuggling('a folded coding', ['Transfer-Encoding:', ' chunked'], '0\r\n\r\n'),
  smuggling('a coding behind a bare line end', ['X: y\nTransfer-Encoding: chunked'], '0\r\n\r\n'),
  smuggling('identity', ['Transfer-Encoding: identity'], '', false),
  smuggling('a chunk size cut off by its width', ['Transfer-Encoding: chunked'], '10000000000000000\r\n', false),

  coding(200, 'chunked'),
  coding(200, 'CHUNKED'),
  ...['identity', 'xchunked', 'chunked, identity', 'chunked,', 'chunked chunked', '"chunked"', '\x0bchunked'].map(
    (each) => coding(400, each),
  ),
  coding(400, 'chunked', 'chunked'),
  chunkSize(200, SIZE),
  chunkSize(200, `000${SIZE}`),
  chunkSize(200, `${SIZE};name=value`),
  chunkSize(200, SIZE, '\r\n0\r\nX-Trailer: 1\r\n\r\n'),
  chunkSize(400, SIZE, '0\r\n\r\n'),
  chunkSize(400, SIZE, 'xx\r\n0\r\n\r\n'),
  ...['zz', '-1', '+5', '0x5', ' 5', '5 ', '', '5\n', 'f'.repeat(18)].map((size) => chunkSize(400, size)),
  chunkSize(413, `${SIZE};${'a'.repeat(20_000)}`),
  chunkSize(431, SIZE, `\r\n0\r\nX-Trailer: ${'a'.repeat(20_000)}\r\n\r\n`),

  ...[
    'X-A: a\0b',
    'X\0A: b',
    'X-A: a\rb',
    'X-A: a\nX-B: c',
    'X-A: \x01',
    'X-A: \x7f',
    'no colon',
    ': no name',
    'X A: b',
  ].map((each) => line(400, each)),
  line(400, 'X-A: a', ' folded'),
  line(200, 'X-A: \xe9\xff'),
  line(200, '__proto__: a', 'constructor: b', 'toString: c', '__proto__: d'),
  line(200, 'X-Request-Id: \xe9 <script>'),
  line(200, 'Traceparent: 00-junk'),
  line(200, 'Upgrade: websocket', 'Connection: Upgrade'),
  line(200, 'Expect: 100-continue'),
  line(417, 'Expect: a miracle'),
  line(431, `X-Big: ${'a'.repeat(20_000)}`),
  line(431, ...Array.from({ length: 4_000 }, (_, n) => `X-${n}: `)),

  line(200, 'Content-Type: Application/JSON ; charset="utf-8"'),
  ...[
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/json garbage',
    '/',
    '*/*',
    '\xe9',
    `application/json;${' '.repeat(8_000)}x`,
  ].map((each) => contentType(each)),
  contentType('', 401),
  ...['gzip', 'identity', 'br, gzip', '', 'junk'].map((each) => line(415, `Content-Encoding: ${each}`)),
]
