import type { CatalogueType, DataOf } from '../../domain/event-catalogue.ts'

/** Sample `data` for each type of the catalogue. */
export const catalogueSamples: { readonly [Type in CatalogueType]: DataOf<Type> } = {
  'completion.started': { completion_id: 'cmpl_xyz789', model: 'gpt-4o', request_id: 'req_custom_001' },
  'completion.streaming': { completion_id: 'cmpl_xyz789', model: 'gpt-4o', delta: 'The response' },
  'completion.finished': {
    completion_id: 'cmpl_xyz789',
    model: 'gpt-4o',
    prompt_tokens: 150,
    completion_tokens: 500,
    total_tokens: 650,
    finish_reason: 'stop',
    content: 'The response content...',
    request_id: 'req_custom_001',
  },
  'completion.failed': {
    completion_id: 'cmpl_xyz789',
    model: 'gpt-4o',
    error: { code: 'content_filter', message: 'The response was filtered' },
  },
  'batch.created': { batch_id: 'batch_abc123', status: 'created', total_requests: 1000 },
  'batch.processing': {
    batch_id: 'batch_abc123',
    status: 'processing',
    total_requests: 1000,
    completed: 400,
    failed: 1,
  },
  'batch.completed': {
    batch_id: 'batch_abc123',
    status: 'completed',
    total_requests: 1000,
    completed: 995,
    failed: 5,
    output_file_id: 'file-output-xyz',
    error_file_id: 'file-error-xyz',
    processing_time_seconds: 3600,
  },
  'batch.failed': {
    batch_id: 'batch_abc123',
    status: 'failed',
    error: { code: 'invalid_input', message: 'The input file could not be read' },
  },
  'batch.cancelled': {
    batch_id: 'batch_abc123',
    status: 'cancelled',
    total_requests: 1000,
    completed: 400,
    failed: 1,
  },
  'usage.limit_warning': {
    metric: 'tokens',
    current_usage: 950_000,
    limit: 1_000_000,
    percentage: 95,
    reset_at: '2025-02-01T00:00:00Z',
  },
  'usage.limit_exceeded': {
    metric: 'tokens',
    current_usage: 1_000_420,
    limit: 1_000_000,
    percentage: 100.042,
    reset_at: '2025-02-01T00:00:00Z',
  },
  'usage.alert': { metric: 'requests', current_usage: 8_000, limit: 10_000, percentage: 80 },
  'model.deprecated': { model: 'gpt-4o', replacement: 'gpt-5', effective_at: '2026-12-31T00:00:00Z' },
  'model.updated': { model: 'gpt-4o', version: '2025-01-01' },
  'job.failed': { job_id: 'job_abc123', error: { code: 'timeout', message: 'The job took too long' } },
  'task.completed': { task_id: 'task_abc123', status: 'completed', result: { answer: 42 } },
  'task.failed': { task_id: 'task_abc123', status: 'failed', error: { message: 'The task could not be done' } },
  'task.cancelled': { task_id: 'task_abc123', status: 'cancelled' },
  'task.expired': { task_id: 'task_abc123', status: 'expired' },
}

/** The `data` of a sample event. For a type that is not in the catalogue, it says that it is a sample. */
export const sampleData = (type: string): Record<string, unknown> =>
  Object.hasOwn(catalogueSamples, type)
    ? catalogueSamples[type as CatalogueType]
    : { object: 'sample', message: `A sample ${type} event, sent by holdfast` }
