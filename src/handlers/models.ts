import type { Router } from 'holdfast'

/** Changes to the models one depends on. */
export default (router: Router): void => {
  router.on('model.deprecated', ({ data }, { log }) => {
    const { model, replacement, effective_at } = data
    log.warn({ model, replacement, effective_at }, 'model deprecated')
  })

  router.on('model.updated', ({ data }, { log }) => {
    log.info({ model: data.model, version: data.version }, 'model updated')
  })
}
