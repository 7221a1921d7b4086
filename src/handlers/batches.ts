import type { Router } from 'holdfast'

/** Batch jobs: progress, and how much of one succeeded. */
export default (router: Router): void => {
  router.on(['batch.created', 'batch.processing'], ({ data }, { log }) => {
    const { batch_id, completed = 0, total_requests } = data
    log.info({ batch_id, completed, total_requests }, 'batch under way')
  })

  router.on('batch.completed', ({ data }, { log }) => {
    const { batch_id, completed, failed, total_requests, output_file_id, processing_time_seconds } = data
    const level = failed > 0 ? 'warn' : 'info'
    log[level](
      { batch_id, completed, failed, total_requests, output_file_id, processing_time_seconds },
      'batch completed',
    )
  })

  router.on('batch.failed', ({ data }, { log }) => {
    log.error({ batch_id: data.batch_id, reason: data.error }, 'batch failed')
  })

  router.on('batch.cancelled', ({ data }, { log }) => {
    log.warn({ batch_id: data.batch_id, completed: data.completed }, 'batch cancelled')
  })
}
