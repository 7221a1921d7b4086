import type { Router } from '../../../src/index.ts'

export default (router: Router): void => {
  router.on('bench.handled', () => {})
}
