import type { Router } from 'holdfast'

/** How near an account is to its limits. */
export default (router: Router): void => {
  router.on(['usage.limit_warning', 'usage.alert'], ({ data }, { log }) => {
    const { metric, current_usage, limit, percentage, reset_at } = data
    log.warn({ metric, current_usage, limit, percentage, reset_at }, 'usage nears its limit')
  })

  router.on('usage.limit_exceeded', ({ data }, { log }) => {
    const { metric, current_usage, limit, reset_at } = data
    log.error({ metric, current_usage, limit, reset_at }, 'usage is over its limit')
  })
}
