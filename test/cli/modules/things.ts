import { existsSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import type { Router } from 'holdfast'

/** A handler that gives up until the file that its event names is there, one that waits for it, and one that always succeeds. */
export default (router: Router): void => {
  router.on('acme.thing', { name: 'fragile' }, (event, context) => {
    if (!existsSync(String(event.data.mended))) context.fail('not mended yet\n\u001b[31mred')
  })
  router.on('acme.slow', { name: 'slow' }, async (event) => {
    while (!existsSync(String(event.data.mended))) await setTimeout(20)
  })
  router.on('acme.thing', { name: 'steady' }, () => {})
}
