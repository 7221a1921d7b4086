import { type Act, forever } from './act.ts'

/** Each ends its process. */
export const ending = {
  exit: () => process.exit(3),
  abort: () => process.abort(),
  'segmentation-fault': () => {
    process.kill(process.pid, 'SIGSEGV')
    return forever()
  },
} satisfies Record<string, Act>
