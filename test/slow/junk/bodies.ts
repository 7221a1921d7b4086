import { gzipSync } from 'node:zlib'

/** The largest body that the service takes in these tests: the default. */
export const BODY_LIMIT_BYTES = 1_048_576

type Kept = 'unhandled' | 'quarantined'

/** A body, and what becomes of it once it is signed. */
export type BodyRow = readonly [what: string, body: Uint8Array, kept: Kept]

const text = (body: string): Buffer => Buffer.from(body, 'utf8')
let events = 0

/** An event of a type that no handler wants, with members of its own kind put in as they are. */
const event = (members = '"data":{}', type = '"junk.body"'): Buffer =>
  text(`{"id":"evt_junk_${++events}","type":${type},${members}}`)

const filled = (bytes: number): Buffer => {
  const bare = event('"data":{"fill":""}').toString()
  return text(bare.replace('""', `"${'x'.repeat(bytes - bare.length)}"`))
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
/** How deep an array may stand in a member of `data`, which is in the event. */
const DEEPEST = 62

export const bodies: readonly BodyRow[] = [
  ['empty', Buffer.alloc(0), 'quarantined'],
  ['white space', text(' \r\n\t '), 'quarantined'],
  ['NUL', Buffer.alloc(1), 'quarantined'],
  ['BOM alone', Buffer.from([0xef, 0xbb, 0xbf]), 'quarantined'],
  ['BOM and event', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), event()]), 'unhandled'],
  ['UTF-16 with BOM', Buffer.from(`\ufeff${event().toString()}`, 'utf16le'), 'quarantined'],
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 'quarantined'],
  ['overlong UTF-8', Buffer.concat([text('{"type":"'), Buffer.from([0xc0, 0xaf]), text('"}')]), 'quarantined'],
  ['surrogates as UTF-8', Buffer.concat([text('"'), Buffer.from([0xed, 0xa0, 0x80]), text('"')]), 'quarantined'],
  ['cut-off character', event().subarray(0, -2), 'quarantined'],
  ['gzip', gzipSync(event()), 'quarantined'],
  ['form', text('type=junk.body&id=1'), 'quarantined'],
  ['XML', text('<?xml version="1.0"?><event type="junk"/>'), 'quarantined'],
  ['JSON5', text("{type:'junk.body',}"), 'quarantined'],
  ['comment', text('/* */{"type":"junk.body"}'), 'quarantined'],
  ['two events', Buffer.concat([event(), event()]), 'quarantined'],
  ['NaN', event('"data":{"n":NaN}'), 'quarantined'],
  ['raw control character', event('"data":{"s":"\u0001"}'), 'quarantined'],
  ['trailing NUL', Buffer.concat([event(), Buffer.alloc(1)]), 'quarantined'],
  ['null', text('null'), 'quarantined'],
  ['number', text('42'), 'quarantined'],
  ['text', text('"junk.body"'), 'quarantined'],
  ['array', text('[{"type":"junk.body"}]'), 'quarantined'],
  ['no type', text('{"id":"evt_junk"}'), 'quarantined'],
  ['type null', event('"data":{}', 'null'), 'quarantined'],
  ['type empty', event('"data":{}', '""'), 'quarantined'],
  ['type object', event('"data":{}', '{"type":"x"}'), 'quarantined'],
  ['type too long', event('"data":{}', `"${'x'.repeat(257)}"`), 'quarantined'],
  ['type as long as may be', event('"data":{}', `"${'x'.repeat(256)}"`), 'unhandled'],
  ['type __proto__', event('"data":{}', '"__proto__"'), 'unhandled'],
  ['type constructor', event('"data":{}', '"constructor"'), 'unhandled'],
  ['type of control characters', event('"data":{}', '"\\u0000\\n\\u001b[2J"'), 'quarantined'],
  ['type with a quote and a line end, for a metric', event('"data":{}', '"a\\"} 1\\nx{b=\\"c"'), 'quarantined'],
  ['type with a quote and a brace, for a metric', event('"data":{}', '"a\\"} 1 x{b=\\"c"'), 'unhandled'],
  ['type of a lone surrogate', event('"data":{}', '"\\ud800"'), 'quarantined'],
  ['id of a lone surrogate', text('{"id":"\\udfff","type":"junk.body"}'), 'quarantined'],
  ['id with NUL', text('{"id":"a\\u0000b","type":"junk.body"}'), 'quarantined'],
  ['id as SQL', text(`{"id":"'; DROP TABLE event; --","type":"junk.body"}`), 'unhandled'],
  ['id an object', text('{"id":{},"type":"junk.body"}'), 'quarantined'],
  ['id a big integer', text('{"id":123456789012345678901234567890,"type":"junk.body"}'), 'quarantined'],
  ['id an integer', text('{"id":9007199254740991,"type":"junk.body"}'), 'unhandled'],
  ['id a fraction', text('{"id":1.5,"type":"junk.body"}'), 'quarantined'],
  ['duplicate keys', text('{"id":"a","type":"junk.one","type":"junk.two","id":"evt_last"}'), 'unhandled'],
  ['__proto__', event('"__proto__":{"polluted":true},"data":{"__proto__":{"polluted":true}}'), 'unhandled'],
  ['constructor.prototype', event('"constructor":{"prototype":{"polluted":true}}'), 'unhandled'],
  ['toString and toJSON', event('"data":{"toString":1,"toJSON":2,"then":3}'), 'unhandled'],
  ['big integers', event('"data":{"n":9007199254740993,"m":-1e400,"z":-0}'), 'unhandled'],
  ['a million digits', event(`"data":{"n":${'9'.repeat(1_000_000)}}`), 'unhandled'],
  ['as deep as may be', event(`"data":{"a":${nested(DEEPEST)}}`), 'unhandled'],
  ['too deep', event(`"data":{"a":${nested(DEEPEST + 1)}}`), 'quarantined'],
  ['half a million brackets', text(nested(500_000)), 'quarantined'],
  ['half a million brackets, never closed', text('['.repeat(500_000)), 'quarantined'],
  ['brackets in a text', event(`"data":{"s":"${'['.repeat(1_000)}\\"${'{'.repeat(1_000)}"}`), 'unhandled'],
  [
    'hundred thousand keys',
    event(`"data":{${Array.from({ length: 100_000 }, (_, n) => `"${n}":0`).join()}}`),
    'unhandled',
  ],
  ['created_at a huge number', event('"created_at":1e308'), 'unhandled'],
  ['created_at a far year', event('"created_at":"+275760-09-13T00:00:00.001Z"'), 'unhandled'],
  ['created_at an object', event('"created_at":{"$date":0}'), 'unhandled'],
  ['data a text', event('"data":"text"'), 'unhandled'],
  ['not as the catalogue says', event('"data":{"completion_id":7}', '"completion.finished"'), 'quarantined'],
  ['api_version and task of odd kinds', event('"api_version":[],"data":{"task_id":{},"batch_id":0}'), 'unhandled'],
  ['as large as may be', filled(BODY_LIMIT_BYTES), 'unhandled'],
]

export const tooLarge = filled(BODY_LIMIT_BYTES + 1)
