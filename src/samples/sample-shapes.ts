import { githubKeys } from '../providers/github-events.ts'
import { sampleData } from './samples.ts'

export interface SampleEvent {
  readonly id: string
  readonly type: string
  /** What the user wants sent; absent: whatever is usual. */
  readonly data?: Readonly<Record<string, unknown>> | undefined
  readonly nowMs: number
}

/** An event's body, and headers where it needs them, in one provider's form. */
export type Shape = (event: SampleEvent) => {
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Record<string, unknown>
}

const iso = (ms: number): string => new Date(ms).toISOString()
const seconds = (ms: number): number => Math.floor(ms / 1_000)
/** `invoice` of `invoice.paid`. */
const subject = (type: string): string => type.split('.')[0] ?? type
/** `succeeded` of `prediction.succeeded`. */
const state = (type: string): string => type.slice(type.indexOf('.') + 1)

/** The tutorial's standard structure. */
export const standardShape: Shape = ({ id, type, data = sampleData(type), nowMs }) => ({
  body: { id, type, created_at: iso(nowMs), api_version: '2025-01-01', data },
})

const GITHUB_TEXTS = new Map([
  ['ref', 'refs/heads/main'],
  ['ref_type', 'branch'],
  ['master_branch', 'main'],
  ['before', '0'.repeat(40)],
  ['after', '1'.repeat(40)],
  ['sha', '1'.repeat(40)],
  ['state', 'success'],
  ['context', 'sample'],
  ['workflow', '.github/workflows/sample.yml'],
  ['zen', 'Keep it logically awesome.'],
  ['status', 'success'],
])
const GITHUB_LISTS = new Set(['commits', 'pages', 'repositories_added', 'repositories_removed'])

/** As much of what an event is about as tells it from others. */
const githubSubjects = (event: string): Record<string, unknown> =>
  Object.fromEntries(
    githubKeys(event).map((key) => [key, GITHUB_TEXTS.get(key) ?? (GITHUB_LISTS.has(key) ? [] : { id: 1 })]),
  )

/** By provider's name. Where none is given, an event's shape follows from its provider's map. */
export const shapes: Readonly<Record<string, Shape>> = {
  ai: standardShape,

  anthropic: ({ id, type, data = { id: `${subject(type)}_123` }, nowMs }) => ({
    body: { type: 'event', id, created_at: iso(nowMs), data: { ...data, type } },
  }),

  // Its events have no id: each sample is of another transcript, unless the data names one.
  assemblyai: ({ id, type, data }) => ({ body: { transcript_id: id, ...data, status: state(type) } }),

  github: ({ id, type, data }) => {
    const [name = type, ...action] = type.split('.')
    const repository = { id: 1, name: 'sample', full_name: 'holdfast/sample' }
    return {
      headers: { 'x-github-event': name, 'x-github-delivery': id },
      body: {
        ...(action.length > 0 && { action: action.join('.') }),
        ...githubSubjects(name),
        ...(data ?? { repository, sender: { id: 1, login: 'holdfast' } }),
      },
    }
  },

  openai: ({ id, type, data = { id: `${subject(type)}_123` }, nowMs }) => ({
    headers: { 'webhook-id': id },
    body: { id, object: 'event', created_at: seconds(nowMs), type, data },
  }),

  replicate: ({
    id,
    type,
    data = { input: { prompt: 'a lighthouse' }, output: ['a sample'], error: null },
    nowMs,
  }) => ({
    headers: { 'webhook-id': id },
    body: {
      id: 'ufawqhfynnddngldkgtslldrkq',
      version: '5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa',
      created_at: iso(nowMs),
      ...data,
      status: state(type),
    },
  }),

  stripe: ({ id, type, data = { object: { id: `${subject(type)}_123`, object: subject(type) } }, nowMs }) => ({
    body: {
      id,
      object: 'event',
      api_version: '2025-03-31.basil',
      created: seconds(nowMs),
      livemode: false,
      pending_webhooks: 1,
      request: { id: null, idempotency_key: null },
      type,
      data,
    },
  }),
}
