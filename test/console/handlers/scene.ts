import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { forward, type Router } from 'holdfast'

/** While this file is there, `billing` cannot reach its database. */
const isBroken = (): boolean => existsSync(process.env.SCENE_BROKEN ?? 'broken')

/**
 * Handlers of a small shop: one that always works, one whose database may be away, one that fails and recovers, one that is slow, and, if
 * there is a warehouse, one that forwards to it.
 */
export default (router: Router): void => {
  router.on('*', { name: 'ledger' }, (event, { log }) => log.info({ type: event.type }, 'entered'))
  router.on(
    'invoice.*',
    { name: 'billing', retry: { maxAttempts: 3, baseMs: 20, capMs: 50 } },
    async function charge(event) {
      if (!isBroken()) return
      const { number } = event.data as { number?: number }
      throw new Error(`cannot charge invoice ${number ?? 0}: no connection`, {
        cause: Object.assign(new Error('connect ECONNREFUSED ledger-db:5432'), { code: 'ECONNREFUSED' }),
      })
    },
  )
  router.on('order.*', { name: 'orders', retry: { maxAttempts: 5, baseMs: 300_000 } }, (event, { attempt, fail }) => {
    const { stock } = event.data as { stock?: boolean }
    if (stock === false) fail(`no stock in attempt ${attempt}`)
  })
  router.on('report.*', { name: 'crm-sync' }, async () => {
    await sleep(50)
  })
  const url = process.env.SCENE_WAREHOUSE
  if (url !== undefined) router.on('shipment.*', { name: 'warehouse' }, forward({ url, allowPrivate: true }))
}
