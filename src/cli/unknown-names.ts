import { type CliIo, write } from './command.ts'
import type { OpsClient } from './ops-client.ts'
import { printable } from './table.ts'

export interface Names {
  readonly source?: string | undefined
  readonly handler?: string | undefined
}

interface Named {
  readonly items: readonly { readonly name: string }[]
}

/** One sentence for each of these that the running service does not have. */
export async function unknownNames(ops: OpsClient, names: Names): Promise<readonly string[]> {
  const faults: string[] = []
  for (const kind of ['source', 'handler'] as const) {
    const name = names[kind]
    if (name === undefined) continue
    const known = (await ops.get<Named>(`/v1/${kind}s`)).items.map((item) => item.name)
    if (!known.includes(name)) faults.push(`there is no ${kind} ${name}; known are ${known.join(', ') || 'none'}`)
  }
  return faults
}

/** Says beside an empty list which of its filters names nothing that there is: what they had may be there no more. */
export async function hintAtUnknown(
  { err }: CliIo,
  ops: OpsClient,
  { items }: { readonly items: readonly unknown[] },
  names: Names,
): Promise<void> {
  if (items.length > 0) return
  for (const fault of await unknownNames(ops, names)) await write(err, `${printable(fault)}\n`)
}
