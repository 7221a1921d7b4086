import { existsSync } from 'node:fs'
import type { Router } from 'holdfast'

/**
 * Handlers for the demonstration: one that works, one that needs three attempts, one that fails until the operator repairs the cause,
 * and one for the ends of tasks, which come by webhook, by poll or at a deadline.
 */
export default (router: Router): void => {
  router.on('completion.finished', { name: 'tokens' }, (event, { log }) => {
    log.info({ say: `counted ${event.data.total_tokens} tokens of ${event.data.completion_id}` })
  })
  router.on('demo.shaky', { name: 'shaky' }, (_, { attempt, log }) => {
    if (attempt < 3) throw new Error('the other side hung up')
    log.info({ say: 'got through' })
  })
  router.on('demo.invoice', { name: 'billing' }, (_, { fail, log }) => {
    if (!existsSync('ledger-is-open')) fail('the ledger is closed')
    log.info({ say: 'wrote it into the ledger' })
  })
  router.on(['task.completed', 'task.expired'], { name: 'tasks' }, ({ type, data, origin }, { log }) => {
    log.info({ say: `${type} of ${data.task_id}, origin ${origin}` })
  })
}
