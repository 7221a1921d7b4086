import type { Router } from 'holdfast'

export default (router: Router) => {
  // Runs at least once for each event of this type: use event.uid where something must happen only once.
  router.on('completion.finished', { name: 'completions' }, async (event, { log }) => {
    const { model, total_tokens: tokens } = event.data
    log.info({ model, tokens }, 'completion finished')
  })
}
