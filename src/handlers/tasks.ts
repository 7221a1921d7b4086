import type { Router } from 'holdfast'

/** How tasks end. One handler for all ends, so that none is forgotten. */
export default (router: Router): void => {
  router.on(['task.completed', 'task.failed', 'task.cancelled', 'task.expired'], ({ type, data }, { log }) => {
    const { task_id, status, error } = data
    if (type === 'task.completed') log.info({ task_id, status }, 'task completed')
    else log.warn({ task_id, status, reason: error }, 'task ended without a result')
  })
}
