import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Router, WebhookEvent } from '../../../../src/index.ts'
import { type Act, acts } from '../acts/acts.ts'

/** What an innocent handler takes. */
const INNOCENT_MS = 5

/** Says that it is at work, where the event names a file for that. */
function begin({ data }: WebhookEvent, name: string): void {
  if (typeof data.began === 'string') appendFileSync(data.began, `${name}\n`)
}

export default (router: Router): void => {
  for (const [name, act] of Object.entries<Act>(acts)) {
    router.on(`poison.${name}`, { name }, (event, context) => {
      begin(event, name)
      return act(context)
    })
  }
  router.on('innocent.event', { name: 'innocent' }, () => sleep(INNOCENT_MS))
  // One name for both: what its events do to it is the events' doing, not the handler's.
  router.on('mixed.event', { name: 'mixed' }, ({ data }, context) => {
    const act = Object.entries<Act>(acts).find(([name]) => name === data.act)?.[1]
    return act === undefined ? sleep(INNOCENT_MS) : act(context)
  })
  router.on('healthy.event', { name: 'healthy' }, async (event) => {
    begin(event, 'healthy')
    await sleep(Number(event.data.ms))
  })
}
