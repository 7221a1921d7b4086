import { describe, expect, test } from 'vitest'
import { eachValueAt, parseMatch } from '../../src/domain/payload-match.ts'
import { createPayloadTest } from '../../src/domain/payload-search.ts'

const JSON_HEADERS = JSON.stringify({
  'content-type': 'application/json',
  'x-github-event': 'push',
  'x-note': 'Ünal "a"',
})
const FORM_HEADERS = JSON.stringify({ 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' })

const contains = (text: string, body: string | Buffer, headers = JSON_HEADERS): boolean | undefined =>
  createPayloadTest({ contains: text })?.(Buffer.from(body), headers)
const matches = (match: string, body: string, headers = JSON_HEADERS): boolean | undefined =>
  createPayloadTest({ match: [parseMatch(match)] })?.(Buffer.from(body), headers)

describe('a search for a text', () => {
  const found: readonly [string, string][] = [
    ['müller', '{"name":"MÜLLER"}'],
    ['Müller', '{"name":"M\\u00fcller"}'],
    ['MÜLLER', '{"name":"M\\u00fCller"}'],
    ['ller', '{"name":"M\\u00fcl\\u006cer"}'],
    ['пётр', '{"name":"ПЁТР"}'],
    ['ΣΊΣΥΦΟΣ', '{"name":"σίσυφος"}'],
    ['日本', '{"name":"日本語"}'],
    ['日本', '{"name":"\\u65e5\\u672c\\u8a9e"}'],
    ['\u{1f600}', '{"name":"\\ud83d\\ude00"}'],
    ['caf\u00e9', '{"name":"CAFE\u0301"}'],
    ['cafe\u0301', '{"name":"Caf\\u00e9"}'],
    ['caf\u00e9', '{"name":"cafe\\u0301"}'],
    ['\ud55c\uae00', '{"name":"\u1112\u1161\u11ab\u1100\u1173\u11af"}'],
    ['\u0958', '{"name":"\u0958"}'],
    ['https://a.example/b', '{"url":"https:\\/\\/a.example\\/b"}'],
    ['say "hi"', '{"text":"say \\"hi\\""}'],
    ['a\nb', '{"text":"a\\nb"}'],
    ['"id":"evt_1"', '{"id":"evt_1"}'],
    ['"', '{}"'],
    ['kelvin', '{"unit":"\u212aelvin"}'],
    ['\u212aelvin', '{"unit":"kelvin"}'],
    ['loss', '{"old":"lo\u017fs"}'],
    ['a.b*c', '{"text":"A.B*C"}'],
    ['push', '{}'],
    ['X-GitHub-Event: push', '{}'],
    ['ünal', '{}'],
    ['"A"', '{}'],
    ['plain', 'PLAIN text'],
  ]
  test.each(found)('finds %j in %j or its headers', (text, body) => {
    expect(contains(text, body)).toBe(true)
  })

  const absent: readonly [string, string][] = [
    ['muller', '{"name":"Müller"}'],
    ['cafe\u0301', '{"name":"cafe"}'],
    ['axb', '{"text":"a.b"}'],
    ['a.b', '{"text":"axb"}'],
    ['\\u00fc', '{"name":"ü"}'],
    ['event":"push', '{}'],
    ['evt_12', '{"id":"evt_1","n":2}'],
  ]
  test.each(absent)('does not find %j in %j', (text, body) => {
    expect(contains(text, body)).toBe(false)
  })

  test('finds a text in a form as its fields read', () => {
    const body = 'name=M%C3%BCller+%26+Co&payload=%7B%22who%22%3A%22J%5Cu00f6rg%22%7D'
    for (const text of ['müller & co', 'name=M', 'jörg', '%26']) expect(contains(text, body, FORM_HEADERS)).toBe(true)
    expect(contains('müller & co', body)).toBe(false)
  })

  test('finds a text in bytes that are not UTF-8', () => {
    expect(contains('Found', Buffer.from([0x7b, 0xff, 0xfe, 0x00, ...Buffer.from('found')]))).toBe(true)
  })
})

describe('a condition on a payload', () => {
  const body = `{"data":{"object":{"customer":"cus_1","amount":12345678901234567890,"rate":1.50,"live":true,"ref":null,
    "lines":[{"id":"li_1","tags":["a","b"]},{"id":"li_2","tags":[["c"]]}],"0":"zero","M\\u00fcller":"\\u00fc"}},"id":"first","id":"last"}`
  const cases: readonly [string, boolean][] = [
    ['data.object.customer:cus_1', true],
    ['data.object.customer:cus_', false],
    ['data.object.customer:CUS_1', false],
    ['data.object.amount:12345678901234567890', true],
    ['data.object.amount:12345678901234567891', false],
    ['data.object.rate:1.50', true],
    ['data.object.live:true', true],
    ['data.object.live:false', false],
    ['data.object.ref:null', true],
    ['data.object.missing:null', false],
    ['data.object.lines.id:li_2', true],
    ['data.object.lines.1.id:li_2', true],
    ['data.object.lines.0.id:li_2', false],
    ['data.object.lines.tags:b', true],
    ['data.object.lines.tags:c', true],
    ['data.object.lines.0.tags.1:b', true],
    ['data.object.lines[].id:li_2', true],
    ['data.object.lines[0].id:li_2', false],
    ['data.object.lines[].tags[][]:c', true],
    ['data.object.0:zero', true],
    ['data.object.Müller:ü', true],
    ['data.object:cus_1', false],
    ['id:last', true],
    ['id:first', false],
  ]
  test.each(cases)('%s holds: %s', (match, expected) => {
    expect(matches(match, body)).toBe(expected)
  })

  test('reads the fields of a form, nested ones by their brackets, and JSON in a field', () => {
    const form =
      'CallSid=CA1&ids[]=1&ids[]=2&rows[][id]=r1&item[price][id]=p1&payload=%7B%22actions%22%3A%5B%7B%22id%22%3A%22b1%22%7D%5D%7D'
    for (const match of ['CallSid:CA1', 'ids:2', 'ids[]:1', 'rows.id:r1', 'item.price.id:p1', 'payload.actions.id:b1'])
      expect(matches(match, form, FORM_HEADERS)).toBe(true)
    expect(matches('CallSid:CA2', form, FORM_HEADERS)).toBe(false)
    for (const match of ['item[price][id]:p1', 'item[price].id:p1', 'rows[][id]:r1', 'payload[actions].id:b1'])
      expect(matches(match, form, FORM_HEADERS)).toBe(true)
  })

  test('has a path that begins with an array where the payload is one', () => {
    for (const match of ['[].id:b', '[1].id:b', 'id:b', '1.id:b'])
      expect(matches(match, '[{"id":"a"},{"id":"b"}]')).toBe(true)
    expect(matches('[0].id:b', '[{"id":"a"},{"id":"b"}]')).toBe(false)
  })

  test('holds for no body that is not JSON where it would have to be read', () => {
    for (const broken of ['', '{', '{"id"', '{"id":', '[', '{"id":"', '{"id":tru}', '\u0000'])
      expect(matches('id:1', broken)).toBe(false)
  })

  test('ends the search of values when it is told to', () => {
    const seen: string[] = []
    eachValueAt(Buffer.from('{"a":[1,2,3]}'), undefined, 'a', (value) => seen.push(value) < 2)
    expect(seen).toEqual(['1', '2'])
  })

  test('with arrays that nest without end takes no time', () => {
    expect(matches('a:x', `{"a":${'['.repeat(100_000)}`)).toBe(false)
  })

  test.each(['', 'id', ':1', '.a:1', '[]:1', 'a..b:1', `${'a.'.repeat(16)}a:1`, `a:${'x'.repeat(257)}`])(
    'cannot be read from %j',
    (text) => {
      expect(() => parseMatch(text)).toThrow(/^match must/)
    },
  )

  test('may have colons in its value, or none at all', () => {
    expect(parseMatch('a.b:c:d')).toEqual({ path: 'a.b', value: 'c:d' })
    expect(parseMatch('a:')).toEqual({ path: 'a', value: '' })
  })
})
