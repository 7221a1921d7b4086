import type { Call } from './messages.ts'

type Functions<Operations> = { readonly [Name in keyof Operations]: (...args: never) => unknown }

/** Carries out a call that came from another thread. */
export function perform<Operations extends Functions<Operations>>(
  operations: Operations,
  { name, args }: Call<Operations>,
): unknown {
  const operation: (...args: never) => unknown = operations[name]
  return operation(...(args as never))
}
