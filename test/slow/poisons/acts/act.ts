import type { HandlerContext } from '../../../../src/index.ts'

/** What a handler does. */
export type Act = (context: HandlerContext) => unknown

export const forever = (): Promise<never> => new Promise(() => {})
