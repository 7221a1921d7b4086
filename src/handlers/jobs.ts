import type { Router } from 'holdfast'

/** Jobs that came to nothing. */
export default (router: Router): void => {
  router.on('job.failed', ({ data }, { log }) => {
    log.error({ job_id: data.job_id, reason: data.error }, 'job failed')
  })
}
