import type { Router } from '../../../src/index.ts'

let kept: Router | undefined

export default async (router: Router): Promise<void> => {
  kept = router
  await new Promise(setImmediate)
  router.on('awaited', () => {})
}

export const registerLate = (): void => kept?.on('late', () => {})
