import { type Headers, ORIGINS, type Origin } from './event.ts'

/** The value of `format` in this release's fixtures. */
export const FIXTURE_FORMAT = 'holdfast-event/1'

/** A recorded event as a JSON file: `holdfast events export` writes it, and `recorded` of `holdfast/testing` reads it. */
export interface EventFixture {
  readonly format: typeof FIXTURE_FORMAT
  readonly source: string
  readonly provider: string
  readonly type: string
  readonly id: string
  readonly uid: string
  /** RFC 3339. */
  readonly received_at: string
  readonly origin: Origin
  readonly task?: string
  /** Without secrets, as they are stored. */
  readonly headers: Headers
  /** The body if it is UTF-8. */
  readonly body?: string
  /** Any other body. */
  readonly body_base64?: string
}

/** The fixture's field for the body: its text where that gives the same bytes again. */
export function bodyField(body: Uint8Array): Pick<EventFixture, 'body' | 'body_base64'> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? { body: text } : { body_base64: bytes.toString('base64') }
}

export const bodyOfFixture = ({ body, body_base64 = '' }: EventFixture): Buffer =>
  body === undefined ? Buffer.from(body_base64, 'base64') : Buffer.from(body, 'utf8')

const TEXTS = ['source', 'provider', 'type', 'id', 'uid', 'received_at'] as const

/** Everything that is wrong with a fixture; empty if it can be read. A file may have been written by hand. */
export function fixtureFaults(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return ['it holds no JSON object']
  const fixture = value as Readonly<Record<string, unknown>>
  if (fixture.format !== FIXTURE_FORMAT) return [`its format is not ${FIXTURE_FORMAT}`]
  const { received_at, origin, task, headers, body, body_base64 } = fixture
  const faults: string[] = []
  for (const name of TEXTS)
    if (typeof fixture[name] !== 'string' || fixture[name] === '') faults.push(`${name} is no text`)
  if (typeof received_at === 'string' && Number.isNaN(Date.parse(received_at))) faults.push('received_at is no time')
  if (!ORIGINS.some((known) => known === origin)) faults.push(`origin is none of ${ORIGINS.join(', ')}`)
  if (task !== undefined && typeof task !== 'string') faults.push('task is no text')
  if (!isTexts(headers)) faults.push('headers is no object of texts')
  if ([body, body_base64].filter((each) => typeof each === 'string').length !== 1)
    faults.push('it has neither body nor body_base64, or both, as a text')
  return faults
}

const isTexts = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((each) => typeof each === 'string')
