import type { Router } from 'holdfast'

/** Completions, from their start to their end. The text itself stays out of the log. */
export default (router: Router): void => {
  router.on('completion.started', ({ data }, { log }) => {
    log.info({ completion_id: data.completion_id, model: data.model }, 'completion started')
  })

  router.on('completion.streaming', ({ data }, { log }) => {
    log.debug({ completion_id: data.completion_id, characters: data.delta?.length }, 'completion streaming')
  })

  router.on('completion.finished', ({ data }, { log }) => {
    const { completion_id, model, total_tokens, finish_reason } = data
    log.info({ completion_id, model, tokens: total_tokens, finish_reason }, 'completion finished')
  })

  router.on('completion.failed', ({ data }, { log }) => {
    log.warn({ completion_id: data.completion_id, reason: data.error }, 'completion failed')
  })
}
