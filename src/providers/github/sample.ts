import type { Sample, SampleEvent } from '../../domain/provider.ts'
import { githubKeys } from './events.ts'

const TEXTS = new Map([
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
const LISTS = new Set(['commits', 'pages', 'repositories_added', 'repositories_removed'])

const sampleOf = (key: string): unknown => TEXTS.get(key) ?? (LISTS.has(key) ? [] : { id: 1 })

export function githubSample({ id, type, data }: SampleEvent): Sample {
  const [name = type, ...action] = type.split('.')
  const repository = { id: 1, name: 'sample', full_name: 'holdfast/sample' }
  return {
    headers: { 'x-github-event': name, 'x-github-delivery': id },
    body: {
      ...(action.length > 0 && { action: action.join('.') }),
      ...Object.fromEntries(githubKeys(name).map((key) => [key, sampleOf(key)])),
      ...(data ?? { repository, sender: { id: 1, login: 'holdfast' } }),
    },
  }
}
